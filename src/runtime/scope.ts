/** Owns resources and closes them in the reverse of the order they were taken. */
export class Scope implements AsyncDisposable {
  readonly #closers: (() => unknown)[] = []

  own<T extends AsyncDisposable | Disposable>(resource: T): T {
    this.defer(() => (Symbol.asyncDispose in resource ? resource[Symbol.asyncDispose]() : resource[Symbol.dispose]()))
    return resource
  }

  /** Runs `close` when the scope ends; its promise is waited for. */
  defer(close: () => unknown): void {
    this.#closers.push(close)
  }

  /** Closes everything, even when closing one of them fails; closing again does nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    const errors: unknown[] = []
    for (const close of this.#closers.splice(0).reverse()) {
      try {
        await close()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'could not close everything')
  }
}
