"""An SMTP server on aiosmtpd that keeps what it gets as files, and behaves as it is told.

`behaviour.json` in its folder is read for every connection:
  mail, rcpt, data   a reply instead of accepting: a text, for rcpt {address: text}
  drop               true: the connection breaks after the content, without a reply; the mail is kept
  size               what SIZE announces
  users              {name: password} for PLAIN and LOGIN; without it nobody need log in
  tokens             {name: access token} for XOAUTH2
  introspection      an address that an access token is appended to, for XOAUTH2: is it good, and whose
"""

import argparse
import asyncio
import base64
import json
import ssl
import urllib.request
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    def __init__(self, folder):
        self.folder = folder
        file = folder / "behaviour.json"
        self.behaviour = json.loads(file.read_text()) if file.exists() else {}

    def authenticate(self, server, session, envelope, mechanism, data):
        wanted = self.behaviour.get("users", {}).get(data.login.decode())
        good = wanted is not None and wanted.encode() == data.password
        return AuthResult(success=good, handled=False)

    async def auth_XOAUTH2(self, server, args):
        said = base64.b64decode(args[1]).decode() if len(args) > 1 else ""
        good = self.is_good(said)
        if good:
            return AuthResult(success=True, auth_data=said)
        # The refusal follows the client's empty line, as at Google and Microsoft.
        await server.challenge_auth(b'{"status":"400"}')
        return AuthResult(success=False, handled=False)

    def is_good(self, said):
        tokens = self.behaviour.get("tokens", {})
        asked = self.behaviour.get("introspection")
        if asked:
            token = said.partition("auth=Bearer ")[2].rstrip("\x01")
            with urllib.request.urlopen(asked + token, timeout=5) as answer:
                known = json.load(answer)
            tokens = {known["username"]: token} if known["active"] else {}
        return any(said == f"user={user}\x01auth=Bearer {token}\x01\x01" for user, token in tokens.items())

    async def handle_MAIL(self, server, session, envelope, address, options):
        if "mail" in self.behaviour:
            return self.behaviour["mail"]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        refusal = self.behaviour.get("rcpt", {}).get(address)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if "data" in self.behaviour:
            return self.behaviour["data"]
        number = len(list(self.folder.glob("*.eml")))
        # The record comes last: whoever sees it may read both.
        (self.folder / f"{number}.eml").write_bytes(envelope.original_content)
        secured = server.transport.get_extra_info("sslcontext") is not None
        sender = "" if envelope.mail_from == "<>" else envelope.mail_from
        record = {"from": sender, "to": envelope.rcpt_tos, "tls": secured}
        (self.folder / f"{number}.json").write_text(json.dumps(record))
        if self.behaviour.get("drop"):
            server.transport.abort()
        return f"250 2.0.0 Ok: queued as Q{number}"


async def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--tls", choices=["none", "implicit", "starttls"], default="none")
    given = arguments.parse_args()
    context = None
    if given.tls != "none":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(given.folder / "cert.pem", given.folder / "key.pem")

    def server():
        handler = Handler(given.folder)
        known = handler.behaviour
        by_token = "tokens" in known or "introspection" in known
        login = "users" in known or by_token
        return SMTP(
            handler,
            hostname="localhost",
            data_size_limit=known.get("size", 33554432),
            tls_context=context if given.tls == "starttls" else None,
            require_starttls=given.tls == "starttls",
            authenticator=handler.authenticate,
            auth_required=login,
            auth_require_tls=False,
            auth_exclude_mechanism=[] if by_token else ["XOAUTH2"],
        )

    implicit = context if given.tls == "implicit" else None
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", given.port, ssl=implicit)
    await listening.serve_forever()


asyncio.run(main())
