"""An S3 server on moto: one bucket, and one pair of keys whose signature over each request is checked.

Into its folder it writes `keys.json` (`id`, `secret`) before it listens, and from there it reads `behaviour.json` for every
request:
  away       {method: true}: answered 503, as a server that is overloaded does
  hang       {method: seconds}: answered after so long

`GET /control/bucket` says what the bucket holds: `objects` {key: bytes}, and `uploads`, the keys whose parts lie there.
"""

import argparse
import json
import os
import time
from pathlib import Path

# From the first request on.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "0"

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

BUSY = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>'


def keys():
    """The keys of a user who may do what the README asks for, and nothing else."""
    people = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    people.create_user("us-east-1", "gateway")
    actions = ["PutObject", "GetObject", "DeleteObject", "AbortMultipartUpload"]
    statement = {"Effect": "Allow", "Action": [f"s3:{action}" for action in actions], "Resource": "*"}
    people.put_user_policy("gateway", "files", json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    made = people.create_access_key("gateway")
    return {"id": made.access_key_id, "secret": made.secret_access_key}


class Door:
    """Stands before moto: behaves as it is told, and shows the bucket."""

    def __init__(self, folder, bucket):
        self.folder, self.bucket = folder, bucket
        self.moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/control/bucket":
            return self.answer(start_response, "200 OK", "application/json", json.dumps(self.content()).encode())
        file = self.folder / "behaviour.json"
        behaviour = json.loads(file.read_text()) if file.exists() else {}
        method = environ["REQUEST_METHOD"]
        time.sleep(behaviour.get("hang", {}).get(method, 0))
        if behaviour.get("away", {}).get(method):
            # Who still sends would see a broken connection instead of the answer.
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            return self.answer(start_response, "503 Slow Down", "application/xml", BUSY)
        return self.moto(environ, start_response)

    def content(self):
        bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[self.bucket]
        objects = {name: key.size for name, key in bucket.keys.items()}
        return {"objects": objects, "uploads": [upload.key_name for upload in bucket.multiparts.values()]}

    @staticmethod
    def answer(start_response, status, kind, body):
        start_response(status, [("content-type", kind), ("content-length", str(len(body)))])
        return [body]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--bucket", required=True)
    arguments.add_argument("--region", required=True)
    given = arguments.parse_args()
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(given.bucket, given.region)
    (given.folder / "keys.json").write_text(json.dumps(keys()))
    door = Door(given.folder, given.bucket)
    make_server("127.0.0.1", given.port, door, threaded=True, request_handler=MotoRequestHandler).serve_forever()


main()
