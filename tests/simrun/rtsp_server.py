"""An RTSP server with a moving ball, for Debian's own Python: `rtsp_server.py PORT WIDTHxHEIGHT`.

With `--probe` it only says, by its status, whether everything it needs is installed.
"""

from __future__ import annotations

import sys

NEEDED = ("videotestsrc", "x264enc", "rtph264pay")


def main() -> int:
    """Serve until killed."""
    try:
        import gi

        gi.require_version("Gst", "1.0")
        gi.require_version("GstRtspServer", "1.0")
        from gi.repository import GLib, Gst, GstRtspServer
    except (ImportError, ValueError):
        return 1
    Gst.init(None)
    if not all(map(Gst.ElementFactory.find, NEEDED)):
        return 1
    if sys.argv[1] == "--probe":
        return 0
    width, height = sys.argv[2].split("x")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( videotestsrc is-live=true pattern=ball "
        f"! video/x-raw,width={width},height={height},framerate=25/1 "
        "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 "
        "! rtph264pay name=pay0 pt=96 )"
    )
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    GLib.MainLoop().run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
