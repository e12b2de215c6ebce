# SPDX-License-Identifier: Apache-2.0
"""Arguments, and which function they call. Exit codes: 0 done, 1 failed, 2 usage, 3 partly, 4 not reachable."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from . import admin, ask, documents
from .client import Client
from .config import read_config
from .doctor import doctor
from .exits import DONE, UNREACHABLE, USAGE, CliError
from .files import sources
from .ingest import ingest
from .output import Output

EPILOG = """\
exit codes: 0 done, 1 failed, 2 usage, 3 partly (some documents failed), 4 a service is not reachable
configuration: HOMELAB_URL, HOMELAB_ADMIN_URL, HOMELAB_API_KEY_FILE, HOMELAB_ADMIN_KEY_FILE, or
${XDG_CONFIG_HOME:-~/.config}/homelab/cli.json with url, admin_url, api_key_file, admin_key_file
"""


class Session:
    """What a command works with; clients are made when they are asked for."""

    def __init__(self, arguments: argparse.Namespace, stack: ExitStack) -> None:
        self.arguments = arguments
        self.output = Output(as_json=arguments.json)
        self.config = read_config(os.environ)
        self._stack = stack

    def query(self) -> Client:
        return self._opened(Client("the query service", self.config.url, self.config.api_key, "HOMELAB_API_KEY"))

    def admin(self) -> Client:
        return self._opened(Client("the reconciler", self.config.admin_url, self.config.admin_key, "HOMELAB_ADMIN_KEY"))

    def _opened(self, client: Client) -> Client:
        self._stack.callback(client.close)
        return client


Command = Callable[[Session], int]


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    errors = Output(as_json=False)
    try:
        with ExitStack() as stack:
            command: Command = arguments.command
            code = command(Session(arguments, stack))
            sys.stdout.flush()
    except CliError as error:
        errors.note(f"homelab: {error}")
        code = error.code
    except KeyboardInterrupt:
        errors.note("\nhomelab: stopped; the same command goes on where this one ended")
        code = 130
    except BrokenPipeError:
        # The reader (head, less) has enough. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    sys.exit(code)


def parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--collection", "-c", default="default", metavar="NAME", help="default: %(default)s")
    anywhere = argparse.ArgumentParser(add_help=False)
    anywhere.add_argument("--collection", "-c", default=None, metavar="NAME", help="only documents in this collection")

    top = argparse.ArgumentParser(
        prog="homelab",
        description="Put documents in, search them, ask about them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    p = commands.add_parser("ingest", parents=[common, where], help="send files and folders, wait until they are in")
    p.add_argument("paths", nargs="+", metavar="PATH")
    p.add_argument("--as", dest="renamed", metavar="NAME", help="call PATH so, where two folders share a name")
    p.add_argument("--no-wait", action="store_true", help="return when everything is sent")
    p.set_defaults(command=_ingest)

    p = commands.add_parser("search", parents=[common, where], help="the passages nearest to a query")
    p.add_argument("query", nargs="+")
    p.add_argument("--limit", "-n", type=int, default=10, metavar="N", help="default: %(default)s")
    p.add_argument("--mode", choices=("hybrid", "vector", "lexical"), default="hybrid", help="default: %(default)s")
    p.set_defaults(command=_search)

    p = commands.add_parser("ask", parents=[common, where], help="an answer with citations")
    p.add_argument("question", nargs="+")
    p.set_defaults(command=_ask)

    p = commands.add_parser("graph", parents=[common], help="a SPARQL query on the knowledge graph")
    p.add_argument("query", nargs="?", help="SELECT, ASK, CONSTRUCT or DESCRIBE")
    p.add_argument("--file", "-f", type=Path, metavar="FILE", help="read the query from FILE")
    p.set_defaults(command=_graph)

    p = commands.add_parser("status", parents=[common, anywhere], help="all documents, or one in full")
    p.add_argument("document", nargs="?", metavar="DOC", help="id, name or source_id")
    p.set_defaults(command=_status)

    p = commands.add_parser("rm", aliases=["delete"], parents=[common, anywhere], help="remove documents")
    p.add_argument("documents", nargs="+", metavar="DOC", help="id, name or source_id")
    p.set_defaults(command=_remove)

    p = commands.add_parser("doctor", parents=[common], help="check services, keys and disk")
    p.set_defaults(command=_doctor)

    p = commands.add_parser("put", parents=[common], help="store a file under an s3:// address (operators)")
    p.add_argument("uri", metavar="s3://BUCKET/KEY")
    p.add_argument("file", type=Path, metavar="FILE")
    p.set_defaults(command=lambda s: admin.put(s.admin(), s.output, s.arguments.uri, s.arguments.file))

    _add_dlq(commands.add_parser("dlq", help="dead letters (operators)"), common)
    return top


def _add_dlq(dlq: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    actions = dlq.add_subparsers(required=True, metavar="ACTION")
    p = actions.add_parser("list", parents=[common], help="newest first")
    p.add_argument("--limit", "-n", type=int, default=100, metavar="N", help="default: %(default)s")
    p.set_defaults(command=lambda s: admin.dlq_list(s.admin(), s.output, limit=s.arguments.limit))
    p = actions.add_parser("show", parents=[common], help="one dead letter in full")
    p.add_argument("sequence", type=int, metavar="SEQ")
    p.set_defaults(command=lambda s: admin.dlq_show(s.admin(), s.output, s.arguments.sequence))
    p = actions.add_parser("replay", parents=[common], help="send the original messages again")
    p.add_argument("sequences", type=int, nargs="+", metavar="SEQ")
    p.set_defaults(command=lambda s: admin.dlq_replay(s.admin(), s.output, s.arguments.sequences))
    p = actions.add_parser("drop", parents=[common], help="forget dead letters")
    p.add_argument("sequences", type=int, nargs="+", metavar="SEQ")
    p.set_defaults(command=lambda s: admin.dlq_drop(s.admin(), s.output, s.arguments.sequences))


def _ingest(session: Session) -> int:
    arguments = session.arguments
    found = sources(arguments.paths, arguments.renamed)
    if not found:
        raise CliError("there is no file to ingest", fix="hidden files are skipped; name another folder", code=USAGE)
    client = session.query()
    try:
        return ingest(client, session.output, found, arguments.collection, wait_until_done=not arguments.no_wait)
    except CliError as error:
        if error.code == UNREACHABLE:
            error.args = (f"{error.message}\n  fix: {error.fix}; run the same command again, it resumes",)
        raise


def _search(session: Session) -> int:
    a = session.arguments
    query = " ".join(a.query)
    return ask.search(session.query(), session.output, query, collection=a.collection, limit=a.limit, mode=a.mode)


def _ask(session: Session) -> int:
    a = session.arguments
    return ask.ask(session.query(), session.output, " ".join(a.question), collection=a.collection)


def _graph(session: Session) -> int:
    a = session.arguments
    if (a.query is None) == (a.file is None):
        raise CliError("graph wants either a query or --file FILE", fix="give one of them", code=USAGE)
    query: str = a.query
    if a.file is not None:
        try:
            query = a.file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CliError(f"{a.file}: {error}", fix="name a readable UTF-8 file", code=USAGE) from error
    return ask.graph(session.query(), session.output, query)


def _status(session: Session) -> int:
    a = session.arguments
    return documents.status(session.query(), session.output, a.document, collection=a.collection)


def _remove(session: Session) -> int:
    a = session.arguments
    return documents.remove(session.query(), session.output, a.documents, collection=a.collection)


def _doctor(session: Session) -> int:
    return doctor(session.query(), session.admin(), session.config, session.output)
