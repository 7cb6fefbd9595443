"""Certificates for tests, made by the openssl program in a folder of the test's own.

    authority = Authority(folder, "root")
    server = authority.issue("server", "pgshunt.test", names=["DNS:pgshunt.test", "IP:127.0.0.1"])
    server.cert, server.key              # paths, PEM
    authority.issue("old", "app", expired=True)
"""
import os
import subprocess
import time
from pathlib import Path


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"openssl {' '.join(map(str, arguments))}:\n{done.stderr}"
    return done.stdout


def new_key(path, kind):
    options = {"ec": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
               "ed25519": ["ED25519"]}[kind]
    openssl("genpkey", "-algorithm", *options, "-out", path)
    os.chmod(path, 0o600)


class Issued:
    def __init__(self, cert, key):
        self.cert, self.key = cert, key

    def digest(self, algorithm="sha256"):
        """Of the certificate: what a client binds to."""
        import hashlib
        import ssl
        return hashlib.new(algorithm, ssl.PEM_cert_to_DER_cert(Path(self.cert).read_text())).digest()


class Authority:
    """A root that signs itself, and what it issues."""

    def __init__(self, folder, name, kind="ec"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.cert, self.key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        new_key(self.key, kind)
        openssl("req", "-x509", "-new", "-key", self.key, "-days", 30, "-subj", f"/CN={name}", "-out", self.cert)

    def issue(self, name, common_name, names=(), expired=False, kind="ec", digest="sha256"):
        cert, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        new_key(key, kind)
        openssl("req", "-new", "-key", key, "-subj", f"/CN={common_name}", "-out", request)
        extensions.write_text("basicConstraints=CA:FALSE\n" +
                              (f"subjectAltName={','.join(names)}\n" if names else ""), encoding="ascii")
        if expired:
            # `openssl x509` knows only days from now; `openssl ca` takes dates.
            self._issue_by_dates(request, extensions, cert)
        else:
            openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial",
                    "-days", 30, *([f"-{digest}"] if digest else []), "-extfile", extensions, "-out", cert)
        return Issued(cert, key)

    def _issue_by_dates(self, request, extensions, cert):
        home = self.folder / f"ca-{self.name}"
        home.mkdir(exist_ok=True)
        (home / "index").write_text("")
        (home / "serial").write_text("%X\n" % time.time_ns())
        config = home / "conf"
        config.write_text(f"[ca]\ndefault_ca = all\n[all]\ndatabase = {home}/index\nserial = {home}/serial\n"
                          f"new_certs_dir = {home}\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n")
        openssl("ca", "-batch", "-config", config, "-cert", self.cert, "-keyfile", self.key, "-in", request,
                "-extfile", extensions, "-startdate", "20200101000000Z", "-enddate", "20200201000000Z", "-out", cert,
                "-notext")


def of_workspace(workspace):
    """A certificate for every server of a workspace, made once."""
    folder = Path(workspace.path) / "pki-of-all"
    if not (folder / "server.crt").exists():
        return Authority(folder, "root").issue("server", "test", names=["DNS:localhost", "IP:127.0.0.1"])
    return Issued(folder / "server.crt", folder / "server.key")
