"""A mail server on a free port of the loopback: aiosmtpd, from Debian.

smtpd.py MODE [CERT KEY]    MODE: none, starttls, tls; with a certificate it asks
                            for user "me", password "hush-mail".

It says its port on the first line, then one JSON object for each mail taken. It
ends when its standard input does. The recipient decides what becomes of a mail:
later@… is refused with 451 twice, never@… with 550, and at hang@… it says nothing
more.
"""
import asyncio
import json
import logging
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Handler:
    def __init__(self):
        self.later = 2

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("later@") and self.later > 0:
            self.later -= 1
            return "451 4.7.1 come back later"
        if address.startswith("never@"):
            return "550 5.1.1 no such user"
        if address.startswith("hang@"):
            print(json.dumps({"to": [address]}), flush=True)
            await asyncio.sleep(3600)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = {
            "helo": session.host_name,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None or mode == "tls",
            "user": session.auth_data and session.auth_data.login.decode(),
            "text": envelope.content.decode(),
        }
        print(json.dumps(mail), flush=True)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    known = isinstance(data, LoginPassword) and data == LoginPassword(b"me", b"hush-mail")
    return AuthResult(success=known, handled=False, auth_data=data)


async def main():
    context = None
    if mode != "none":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
    handler = Handler()

    def session():
        return SMTP(
            handler,
            hostname="mx.test",
            tls_context=context if mode == "starttls" else None,
            require_starttls=mode == "starttls",
            authenticator=authenticate if mode != "none" else None,
            auth_required=mode != "none",
            auth_require_tls=mode == "starttls",
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if mode == "tls" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


mode = sys.argv[1]
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
asyncio.run(main())
