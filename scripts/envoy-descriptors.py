"""Writes a FileDescriptorSet of Envoy's v3 API and xDS, read from the registry package `xds-protos`.

usage: envoy-descriptors.py SITE_PACKAGES OUT_FILE
The set is closed: every import of a listed file is in it too. Prints the number of files.
"""
import importlib
import pathlib
import sys

site, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.path.insert(0, str(site))

from google.protobuf import descriptor_pb2  # noqa: E402  (needs the path above)

ROOTS = ("envoy/service", "envoy/config", "envoy/extensions", "envoy/admin", "envoy/data", "envoy/type")
SKIP = ("/v2/", "/v2alpha/", "/v1/", "/v2alpha1/")


def wanted(name: str) -> bool:
    return name.startswith(ROOTS) and not any(part in name for part in SKIP) and "/v3" in name


files: dict[str, descriptor_pb2.FileDescriptorProto] = {}

# Annotations (validation rules, versioning) are of no use here, and parsing them at start costs more than all the rest.
ANNOTATIONS = ("validate/", "udpa/annotations/", "xds/annotations/", "envoy/annotations/")


def without_annotations(message) -> None:
    for field in [*message.field, *message.extension]:
        packed = field.options.packed if field.options.HasField("packed") else None
        field.ClearField("options")
        if packed is not None:
            field.options.packed = packed
    for oneof in message.oneof_decl:
        oneof.ClearField("options")
    for enum in message.enum_type:
        plain_enum(enum)
    for nested in message.nested_type:
        without_annotations(nested)
    is_map = message.options.map_entry
    message.ClearField("options")
    if is_map:
        message.options.map_entry = True


def plain_enum(enum) -> None:
    enum.ClearField("options")
    for value in enum.value:
        value.ClearField("options")


def add(descriptor) -> None:
    if descriptor.name in files or descriptor.name.startswith(ANNOTATIONS):
        return
    for dependency in descriptor.dependencies:
        add(dependency)
    proto = descriptor_pb2.FileDescriptorProto()
    descriptor.CopyToProto(proto)
    if not descriptor.name.startswith("google/protobuf/"):
        kept = [name for name in proto.dependency if not name.startswith(ANNOTATIONS)]
        if len(kept) != len(proto.dependency):
            proto.ClearField("public_dependency")
            proto.ClearField("weak_dependency")
            del proto.dependency[:]
            proto.dependency.extend(kept)
        for message in proto.message_type:
            without_annotations(message)
        for enum in proto.enum_type:
            plain_enum(enum)
        for service in proto.service:
            service.ClearField("options")
            for method in service.method:
                method.ClearField("options")
        proto.ClearField("options")
    files[descriptor.name] = proto


for path in sorted(site.rglob("*_pb2.py")):
    name = str(path.relative_to(site))[: -len("_pb2.py")] + ".proto"
    if wanted(name):
        add(importlib.import_module(name[: -len(".proto")].replace("/", ".") + "_pb2").DESCRIPTOR)

if len(files) < 300:
    sys.exit(f"only {len(files)} files found under {site}: is xds-protos installed there?")
out.parent.mkdir(parents=True, exist_ok=True)
out.write_bytes(descriptor_pb2.FileDescriptorSet(file=list(files.values())).SerializeToString())
print(len(files))
