"""Writes docs/reference.md of the contract: scripts/reference.py PROTO_FOLDER > docs/reference.md.

Run by scripts/generate, in the environment that has protoc.
"""

import re
import sys
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

FILES = ["article_service", "admin_service", "article", "error"]
PACKAGE = ".newsprint.v1."


def compile_contract(folder):
    with tempfile.NamedTemporaryFile() as out:
        files = [f"newsprint/v1/{name}.proto" for name in FILES]
        standard = Path(protoc.__file__).parent / "_proto"
        arguments = ["protoc", f"-I{folder}", f"-I{standard}", f"--descriptor_set_out={out.name}"]
        if protoc.main([*arguments, "--include_source_info", *files]) != 0:
            sys.exit("the contract cannot be compiled")
        contract = FileDescriptorSet.FromString(Path(out.name).read_bytes())
    by_name = {file.name: file for file in contract.file}
    return [by_name[name] for name in files]


class Comments:
    def __init__(self, file):
        self.leading = {
            tuple(place.path): place.leading_comments for place in file.source_code_info.location
        }

    def paragraphs(self, *path):
        """Markdown: blank lines part paragraphs, indented lines stand as they are."""
        lines = [line.removeprefix(" ") for line in self.leading.get(path, "").rstrip().split("\n")]
        result, is_code = [], False
        for line in lines:
            if line.startswith("  ") != is_code and line:
                is_code = not is_code
                result += ["", "```text"] if is_code else ["```", ""]
            result.append(line[2:] if is_code else line)
        if is_code:
            result.append("```")
        text = "\n".join(result)
        return re.sub(r"\n{3,}", "\n\n", text).replace("\n\n```\n", "\n```\n").strip()

    def line(self, *path):
        return " ".join(self.leading.get(path, "").split())


def anchor(name):
    return name.lower()


def type_name(field, entries):
    if field.type_name:
        if field.type_name in entries:
            key, value = entries[field.type_name].field
            return f"map<{type_name(key, entries)}, {type_name(value, entries)}>"
        if field.type_name.startswith(PACKAGE):
            name = field.type_name.removeprefix(PACKAGE)
            name = f"[{name}](#{anchor(name)})"
        else:
            name = field.type_name.removeprefix(".")
    else:
        name = Field.Type.Name(field.type).removeprefix("TYPE_").lower()
    return f"repeated {name}" if field.label == Field.LABEL_REPEATED else name


def cell(text):
    return text.replace("|", "\\|")


def print_service(file, comments, index, service):
    print(f"## {service.name}\n\n{comments.paragraphs(6, index)}\n")
    for number, method in enumerate(service.method):
        streams = [
            "stream " if streaming else ""
            for streaming in (method.client_streaming, method.server_streaming)
        ]
        request, response = (
            name.removeprefix(PACKAGE) for name in (method.input_type, method.output_type)
        )
        print(f"### {method.name}\n")
        print(
            f"{streams[0]}[{request}](#{anchor(request)}) → "
            f"{streams[1]}[{response}](#{anchor(response)})\n"
        )
        print(comments.paragraphs(6, index, 2, number) + "\n")


def print_message(comments, index, message):
    print(f"### {message.name}\n\n{comments.paragraphs(4, index)}\n")
    if not message.field:
        return
    entries = {
        f"{PACKAGE}{message.name}.{nested.name}": nested
        for nested in message.nested_type
        if nested.options.map_entry
    }
    print("| | field | type | |\n|---|---|---|---|")
    for number, field in enumerate(message.field):
        kind = type_name(field, entries)
        if field.HasField("oneof_index") and not field.proto3_optional:
            kind += f"<br>one of `{message.oneof_decl[field.oneof_index].name}`"
        elif field.proto3_optional:
            kind = f"optional {kind}"
        what = comments.line(4, index, 2, number)
        print(f"| {field.number} | `{field.name}` | {kind} | {cell(what)} |")
    print()


def print_enum(comments, index, enum):
    print(f"### {enum.name}\n\n{comments.paragraphs(5, index)}\n")
    print("| | value | |\n|---|---|---|")
    for number, value in enumerate(enum.value):
        what = comments.line(5, index, 2, number)
        print(f"| {value.number} | `{value.name}` | {cell(what)} |")
    print()


def main():
    files = [(file, Comments(file)) for file in compile_contract(sys.argv[1])]
    print("# Reference\n")
    print("<!-- Made of proto/newsprint/v1 by scripts/generate: change it there. -->\n")
    print("The contract, package `newsprint.v1`, as its files have it. Every server tells it too:")
    print("`grpcurl -plaintext localhost:50051 describe newsprint.v1.Article`.\n")
    services = [(file, comments) for file, comments in files if file.service]
    for file, comments in services:
        for service in file.service:
            methods = ", ".join(f"[{it.name}](#{anchor(it.name)})" for it in service.method)
            print(f"- [{service.name}](#{anchor(service.name)}): {methods}")
    print("- [Messages](#messages), [Enums](#enums)\n")
    for file, comments in services:
        for index, service in enumerate(file.service):
            print_service(file, comments, index, service)
        # A file says first what it is, then what holds for all of its methods.
        _, _, common = comments.paragraphs(12).partition("\n\n")
        if common:
            print(f"### Errors\n\n{common}\n")
    print("## Messages\n")
    for file, comments in files:
        for index, message in enumerate(file.message_type):
            print_message(comments, index, message)
    print("## Enums\n")
    for file, comments in files:
        for index, enum in enumerate(file.enum_type):
            print_enum(comments, index, enum)


if __name__ == "__main__":
    main()
