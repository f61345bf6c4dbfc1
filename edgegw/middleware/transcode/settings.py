"""What a route says of transcoding. Names are those of Envoy's `grpc_json_transcoder`, where it has them."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.config.units import Size
from edgegw.wire.grpc import LARGEST


class TranscodeSettings(Settings):
    """JSON over HTTP in front of gRPC, by the google.api.http rules of an API. Requests that fit no rule pass unchanged."""

    descriptors: str = Field(
        description="File with a FileDescriptorSet: `protoc --include_imports --descriptor_set_out=api.pb ...`.",
        examples=["api.pb"],
    )
    services: tuple[str, ...] = Field(
        default=(),
        description="Full names of the services to serve; all in the file if left out.",
        examples=[["acme.Orders"]],
    )
    preserve_proto_field_names: bool = Field(
        default=False, description="Answer with field names as in the .proto file instead of lowerCamelCase."
    )
    always_print_primitive_fields: bool = Field(
        default=False, description="Answer with fields that have their default value too."
    )
    always_print_enums_as_ints: bool = Field(
        default=False, description="Answer with numbers instead of names of enums."
    )
    stream_newline_delimited: bool = Field(
        default=False, description="Answer server streams with one message a line instead of a JSON array."
    )
    ignore_unknown_query_parameters: bool = Field(
        default=False, description="Pass over query parameters that name no field of the request; else they are a 400."
    )
    query_param_unescape_plus: bool = Field(default=False, description="Read `+` in a query as a space.")
    convert_grpc_status: bool = Field(
        default=False,
        description="Answer failed calls that sent no message with a google.rpc.Status as JSON, from grpc-status-details-bin if"
        " there is one.",
    )

    def paths(self, base_dir: Path) -> tuple[Path, ...]:
        """Every file it names: a change of one of them is a reason to load again."""
        return (base_dir / self.descriptors,)

    def within(self, max_message: int) -> TranscodeStepSettings:
        """The same with the limit that stands beside it."""
        return TranscodeStepSettings.model_construct(**dict(self), max_message=max_message)


class TranscodeStepSettings(TranscodeSettings):
    """gRPC-JSON transcoding, with a limit of its own where it stands in a route's `middleware:`."""

    max_message: Size = Field(
        default=4 * 1024 * 1024, ge=0, le=LARGEST, description="Bytes of one message of a response; more is a 502."
    )
