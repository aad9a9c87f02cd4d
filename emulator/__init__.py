"""Run the AWS emulator ministack inside this repository, amended where it differs from AWS."""

HOST = "127.0.0.1"
IDENTITY_PATH = "/_plot-palette/identity"
