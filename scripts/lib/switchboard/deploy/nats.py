"""The broker's users: read from nats.conf, written as values for the official chart."""

import re

import yaml

TOKEN = re.compile(
    r'\s+|\#[^\n]*|(?P<string>"[^"]*")|(?P<sign>[{}\[\]=,:])|(?P<word>[^\s"{}\[\]=,]+?(?=[\s"{}\[\]=,]|:\s|$))'
)


class Variable(str):
    """A value that comes from the environment: `$NAME`."""


def tokens(text):
    place = 0
    while place < len(text):
        found = TOKEN.match(text, place)
        if not found:
            raise ValueError(f"nats.conf cannot be read at: {text[place : place + 40]!r}")
        place = found.end()
        if found["string"] is not None:
            yield ("value", found["string"][1:-1])
        elif found["word"]:
            word = found["word"]
            yield ("value", Variable(word[1:]) if word.startswith("$") else word)
        elif found["sign"]:
            yield (found["sign"], found["sign"])


def parse(text):
    """As much of the format as nats.conf uses: maps, lists, strings, words, variables, comments."""
    stream = [*tokens(text), ("end", "")]
    place = 0

    def peek():
        return stream[place][0]

    def take(*kinds):
        nonlocal place
        kind, value = stream[place]
        if kind not in kinds:
            raise ValueError(f"nats.conf: {value!r} stands where one of {kinds} is expected")
        place += 1
        return value

    def value():
        if peek() == "{":
            take("{")
            inner = entries("}")
            take("}")
            return inner
        if peek() == "[":
            take("[")
            items = []
            while peek() != "]":
                items.append(value())
                if peek() == ",":
                    take(",")
            take("]")
            return items
        return take("value")

    def entries(end):
        found = {}
        while peek() != end:
            key = take("value")
            if peek() in ("=", ":"):
                take("=", ":")
            found[key] = value()
            if peek() == ",":
                take(",")
        return found

    return entries("end")


def users(text):
    """[{user, password, permissions}]; the password is a variable."""
    return parse(text)["authorization"]["users"]


def secret_key(variable):
    """The key in the broker's Secret: NATS_CRM_CARDS_PASSWORD is crm-cards."""
    return variable.removeprefix("NATS_").removesuffix("_PASSWORD").lower().replace("_", "-")


HEAD = """\
# The broker's users and what each may do: written by scripts/check-deploy --write out of nats.conf, which tells why.
# Passwords come from the Secret switchboard-nats-passwords, one key a user.
"""


def users_yaml(text):
    """Values of the official chart that make the same users."""
    read = users(text)
    for user in read:
        if not isinstance(user["password"], Variable):
            raise ValueError(f"nats.conf: the password of {user['user']} is not a variable")
    values = {
        "config": {
            "merge": {
                "authorization": {
                    "users": [
                        {
                            "user": user["user"],
                            # In the chart's words: a variable of the server's, without quotes.
                            "password": f"<< ${user['password']} >>",
                            "permissions": user["permissions"],
                        }
                        for user in read
                    ]
                }
            }
        },
        "container": {
            "env": {
                str(user["password"]): {
                    "valueFrom": {"secretKeyRef": {"name": "switchboard-nats-passwords", "key": secret_key(user["password"])}}
                }
                for user in read
            }
        },
    }
    return HEAD + yaml.safe_dump(values, sort_keys=False, width=130)
