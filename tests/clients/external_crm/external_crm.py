"""A CRM outside Switchboard, in small: it has responsibles of its own and keeps them in step, in both directions.

- It learns from NATS: a durable consumer reads `entity.responsible-changed`, and a repeat is known by its `ce-id`.
- It tells by gRPC: `SetEntityResponsibles`, with the time of the act here and an id of its own. An answer that got lost is
  asked for again with the same id, which changes nothing twice.
- On both ways a later stamp goes over a lower one, never the other way round: so crossing changes end equal.

People work with it by HTTP: `GET /` shows who answers for what, and `POST /` with `kind`, `entity`, `agent` (and `time`, in
microseconds since 1970, where that is not now) says who is to. With --fill it first reads all that Switchboard has.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import grpc
import nats
import nats.errors
from grpc_tools import protoc
from nats.js.api import ConsumerConfig

from table import Table

AT_ONCE = 200


def stubs(proto):
    """Python modules made from the contracts."""
    made = tempfile.mkdtemp(prefix="external-crm-stubs-")
    files = [str(file) for part in ("common", "crm_cards") for file in (proto / "switchboard" / part / "v1").glob("*.proto")]
    known = Path(protoc.__file__).parent / "_proto"
    failed = protoc.main(["protoc", f"-I{proto}", f"-I{known}", f"--python_out={made}", f"--grpc_python_out={made}", *files])
    if failed:
        sys.exit("the contracts could not be read")
    # Whole packages: another one called `switchboard` that is on the path would hide these otherwise.
    for folder in [path for path in Path(made).rglob("*") if path.is_dir()]:
        (folder / "__init__.py").touch()
    sys.path.insert(0, made)


def micros(stamp):
    """A stamp as it is compared: microseconds, then the id of the act."""
    return stamp.time.seconds * 1_000_000 + stamp.time.nanos // 1_000, stamp.event_id


class Crm:
    def __init__(self, options):
        from switchboard.crm_cards.v1 import events_pb2, external_crm_service_pb2, external_crm_service_pb2_grpc

        self.events, self.messages = events_pb2, external_crm_service_pb2
        self.options, self.table = options, Table(options.folder / "crm.db")
        self.channel = grpc.aio.insecure_channel(options.grpc)
        self.service = external_crm_service_pb2_grpc.ExternalCrmServiceStub(self.channel)
        self.metadata = (("authorization", f"Bearer {options.token_file.read_text().strip()}"),)
        self.loop, self.waiting = asyncio.get_running_loop(), asyncio.Event()

    def act(self, kind, entity, agent, at=None):
        """Somebody here says who answers for an entity: kept first, sent then."""
        self.table.act(kind, entity, agent or None, (at or time.time_ns() // 1_000, str(uuid.uuid4())))
        self.loop.call_soon_threadsafe(self.waiting.set)

    async def tell(self):
        """Sends acts as long as it runs, beginning with those that an earlier run did not get an answer to."""
        while True:
            self.waiting.clear()
            acts = self.table.unsent(AT_ONCE)
            if not acts:
                await self.waiting.wait()
            elif not await self.sent(acts):
                await asyncio.sleep(1)

    async def sent(self, acts):
        """Sends acts together; returns whether they were answered."""
        request = self.messages.SetEntityResponsiblesRequest()
        for entity, kind, agent, at, act in acts:
            one = request.entities.add(kind=kind, entity_id=entity, responsible_agent_id=agent or "")
            one.stamp.time.FromMicroseconds(at)
            one.stamp.event_id = act
        try:
            answer = await self.service.SetEntityResponsibles(request, metadata=self.metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
                return False
            if len(acts) == 1:
                self.table.done(acts[0], why=error.details())
                return True
            # One of them is wrong, and keeps no other from being heard.
            return all([await self.sent([act]) for act in acts])
        outcomes = self.messages.ResponsibleOutcome
        for act, outcome in zip(acts, answer.outcomes):
            entity = outcome.entity
            known = outcome.HasField("entity")
            in_place = (entity.responsible_agent_id or None, micros(entity.stamp)) if known else None
            name = outcomes.Outcome.Name(outcome.outcome)
            well = outcome.outcome in (outcomes.OUTCOME_APPLIED, outcomes.OUTCOME_UNCHANGED, outcomes.OUTCOME_OVERTAKEN)
            self.table.done(act, in_place, None if well else name)
        return True

    async def listen(self):
        """Applies what Switchboard tells; where it stopped last time the broker knows."""
        connection = await nats.connect(self.options.nats, max_reconnect_attempts=-1)
        subject = f"switchboard.v1.{self.options.account}.crm-cards.entity.responsible-changed"
        durable = f"external-crm-{self.options.account}"
        # What a run that was killed had not acknowledged comes again after so many seconds.
        config = ConsumerConfig(ack_wait=5)
        subscription = await connection.jetstream().pull_subscribe(subject, durable, "EVENTS", config)
        while True:
            try:
                messages = await subscription.fetch(AT_ONCE, timeout=5)
            except nats.errors.TimeoutError:
                continue
            for message in messages:
                entity = self.events.EntityResponsibleChanged.FromString(message.data).entity
                agent = entity.responsible_agent_id or None
                self.table.told(entity.kind, entity.entity_id, agent, micros(entity.stamp), message.headers["ce-id"])
                await message.ack()

    async def fill(self):
        """Reads all entities: for a first start, and where the stream does not reach back any more (`stream.restarted`)."""
        from switchboard.common.v1 import stamp_pb2
        from switchboard.crm_cards.v1 import company_service_pb2, company_service_pb2_grpc
        from switchboard.crm_cards.v1 import crm_cards_service_pb2, crm_cards_service_pb2_grpc

        cards = crm_cards_service_pb2_grpc.CrmCardsServiceStub(self.channel)
        companies = company_service_pb2_grpc.CompanyServiceStub(self.channel)
        lists = [
            (cards.ListCards, crm_cards_service_pb2.ListCardsRequest, "cards", "card_id"),
            (cards.ListContacts, crm_cards_service_pb2.ListContactsRequest, "contacts", "contact_id"),
            (companies.ListCompanies, company_service_pb2.ListCompaniesRequest, "companies", "company_id"),
        ]
        kinds = {"contacts": stamp_pb2.ENTITY_KIND_CONTACT, "companies": stamp_pb2.ENTITY_KIND_COMPANY}
        for method, request, rows, key in lists:
            token = None
            while token != "":
                page = await method(request(page_size=200, page_token=token or ""), metadata=self.metadata, timeout=10)
                for row in getattr(page, rows):
                    kind = kinds.get(rows) or row.kind
                    agent = row.responsible_agent_id or None
                    self.table.told(kind, getattr(row, key), agent, micros(row.responsible_stamp))
                token = page.next_page_token


def served(crm, port):
    """Answers people, on a thread of its own."""

    class Door(BaseHTTPRequestHandler):
        def answer(self, content):
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.answer(crm.table.shown())

        def do_POST(self):
            said = json.loads(self.rfile.read(int(self.headers["content-length"])))
            crm.act(said["kind"], said["entity"], said["agent"], said.get("time"))
            self.answer({})

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Door)
    Thread(target=server.serve_forever, daemon=True).start()


async def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--folder", type=Path, required=True, help="where its table is kept")
    arguments.add_argument("--proto", type=Path, required=True, help="the folder with Switchboard's contracts")
    arguments.add_argument("--account", required=True)
    arguments.add_argument("--grpc", required=True, help="host and port of crm-cards")
    arguments.add_argument("--token-file", type=Path, required=True, help="a service's token with the scope crm:*")
    arguments.add_argument("--nats", required=True)
    arguments.add_argument("--port", type=int, required=True, help="where people find it")
    arguments.add_argument("--fill", action="store_true")
    options = arguments.parse_args()
    stubs(options.proto)
    crm = Crm(options)
    tasks = [asyncio.create_task(crm.listen()), asyncio.create_task(crm.tell())]
    if options.fill:
        await crm.fill()
    served(crm, options.port)
    for name in (signal.SIGTERM, signal.SIGINT):
        crm.loop.add_signal_handler(name, lambda: [task.cancel() for task in tasks])
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except asyncio.CancelledError:
        pass
