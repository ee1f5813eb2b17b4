"""A mail server on this machine."""

import socketserver
from email import message_from_string


class MailHandler(socketserver.StreamRequestHandler):
    """Enough of SMTP (RFC 5321) to take a mail."""

    def handle(self) -> None:
        self._say("220 ready")
        while command := self.rfile.readline().decode().strip().upper():
            if command == "DATA":
                self._say("354 go on")
                lines = iter(lambda: self.rfile.readline().decode(), ".\r\n")
                self.server.mails.append(message_from_string("".join(lines)))  # type: ignore[attr-defined]
            self._say("221 bye" if command == "QUIT" else "250 ok")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


class MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MailHandler)
        self.mails: list[object] = []

    def texts(self) -> list[str]:
        return [part.get_payload(decode=True).decode() for one in self.mails for part in one.walk() if not part.is_multipart()]  # type: ignore[attr-defined]

    def subjects(self) -> list[str]:
        return [" ".join(str(mail["Subject"]).split()) for mail in self.mails]  # type: ignore[index]
