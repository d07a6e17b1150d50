"""A web server on this machine, for downloads that need no network."""
import http.server
import threading
from contextlib import contextmanager


class Site(dict):
    """What the server has: ``{'/x.pth': content}``.

    Attributes:
        url: Where the server is, without a slash at the end.
        asked: The paths that were asked for.
        cut: Paths whose connection is closed after half of the content.
    """

    def __init__(self):
        super().__init__()
        self.asked = []
        self.cut = set()


@contextmanager
def web_server():
    """Run a server in a thread; yield its :class:`Site`."""
    site = Site()

    class Handler(http.server.BaseHTTPRequestHandler):

        def do_GET(self):
            site.asked.append(self.path)
            if self.path not in site:
                self.send_error(404)
                return
            content = site[self.path]
            self.send_response(200)
            self.send_header('Content-Length', str(len(content)))
            self.end_headers()
            if self.path in site.cut:
                content = content[:len(content) // 2]
            self.wfile.write(content)

        def log_message(self, *args):
            """Keep quiet."""

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02, ))
    thread.start()
    site.url = f'http://127.0.0.1:{server.server_port}'
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
