/**
 * Every message that processes say to one another, generated from `proto/`. Make one with `X.fromPartial({…})`: what is
 * left out has its default, and fields of newer versions are kept. Where two packages, or `#core`, have the same name,
 * it is told apart here.
 */
export * from './gen/common/v2/common.ts'
export {
  Content,
  DeleteTaskRequest,
  DownloadPieceFinishedResponse,
  DownloadTaskRequest,
  DownloadTaskResponse,
  DownloadTaskStartedResponse,
  PieceRecord as PieceRecordMessage,
  StatTaskRequest,
  Summary,
  SyncHostRequest,
  SyncPiecesRequest,
  SyncPiecesResponse,
} from './gen/dfdaemon/v2/dfdaemon.ts'
export { Backend as BackendError, Unknown as UnknownError } from './gen/errordetails/v2/errordetails.ts'
export { Duration } from './gen/google/protobuf/duration.ts'
export { Empty } from './gen/google/protobuf/empty.ts'
export { Timestamp } from './gen/google/protobuf/timestamp.ts'
export {
  HealthCheckRequest,
  HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from './gen/grpc/health/v1/health.ts'
export {
  AnnounceHostRequest,
  AnnouncePeerRequest,
  AnnouncePeerResponse,
  DeleteHostRequest,
  DeletePeerRequest,
  DeleteTaskRequest as SchedulerDeleteTaskRequest,
  DownloadPeerBackToSourceFailedRequest,
  DownloadPeerBackToSourceFinishedRequest,
  DownloadPeerBackToSourceStartedRequest,
  DownloadPeerFailedRequest,
  DownloadPeerFinishedRequest,
  DownloadPeerStartedRequest,
  DownloadPieceBackToSourceFailedRequest,
  DownloadPieceBackToSourceFinishedRequest,
  DownloadPieceFailedRequest,
  DownloadPieceFinishedRequest,
  EmptyTaskResponse,
  ListHostsRequest,
  ListHostsResponse,
  MetadataOnlyResponse,
  NeedBackToSourceResponse,
  NormalTaskResponse,
  RegisterPeerRequest,
  ReschedulePeerRequest,
  Signer as SignerMessage,
  StatPeerRequest,
  StatTaskRequest as SchedulerStatTaskRequest,
  TaskFacts,
} from './gen/scheduler/v2/scheduler.ts'
