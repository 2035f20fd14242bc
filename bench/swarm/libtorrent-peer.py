# One BitTorrent peer on libtorrent: python3 libtorrent-peer.py TORRENT DIR ADDRESS plain|seed|super DONE
# Writes the file DONE when it has the whole file, and goes on seeding until it is ended.
import sys
import time

import libtorrent as lt

torrent, directory, address, manner, done = sys.argv[1:6]
session = lt.session({
    "listen_interfaces": address + ":6881",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    # uTP backs off before TCP does: on links of equal rights it only loses.
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification,
})
params = lt.add_torrent_params()
params.ti = lt.torrent_info(torrent)
params.save_path = directory
params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
if manner != "plain":
    params.flags |= lt.torrent_flags.seed_mode
if manner == "super":
    params.flags |= lt.torrent_flags.super_seeding
session.add_torrent(params)
while True:
    session.wait_for_alert(1000)
    for alert in session.pop_alerts():
        if isinstance(alert, lt.torrent_finished_alert) and manner == "plain":
            open(done, "w").close()
            manner = "seed"
        elif alert.category() & lt.alert.category_t.error_notification:
            print(alert.message(), file=sys.stderr, flush=True)
