"""A link in front of a server that breaks: every connection is cut after so many bytes in one direction.

    with CuttingLink(cluster.host, cluster.port) as link:
        link.cut_after([3, 70_000], from_server=True)     # the next two connections; later ones are left alone
        ... connect to link.host, link.port ...
"""
import select
import socket
import threading

CHUNK_BYTES = 16384


class CuttingLink:
    def __init__(self, host, port):
        self.server = (host, port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self.listener.getsockname()
        self.cuts, self.from_server, self.lock = [], True, threading.Lock()
        self.broken = 0                # connections that were cut
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, byte_counts, from_server):
        """The next connections are cut after so many bytes, one each."""
        with self.lock:
            self.cuts, self.from_server = list(byte_counts), from_server

    def left(self):
        """How many cuts are still to come."""
        with self.lock:
            return len(self.cuts)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client):
        with self.lock:
            left = {True: None, False: None}          # bytes to let through, by "from the server"
            if self.cuts:
                left[self.from_server] = self.cuts.pop(0)
        try:
            server = socket.create_connection(self.server)
        except OSError:
            client.close()
            return
        with client, server:
            while True:
                for source in select.select([client, server], [], [])[0]:
                    from_server = source is server
                    bytes_left = left[from_server]
                    try:
                        data = source.recv(CHUNK_BYTES if bytes_left is None else min(CHUNK_BYTES, bytes_left + 1))
                        if not data:
                            return
                        (client if from_server else server).sendall(data if bytes_left is None else data[:bytes_left])
                    except OSError:
                        return
                    if bytes_left is not None:
                        left[from_server] = bytes_left - len(data)
                        if left[from_server] < 0:
                            self.broken += 1
                            return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
