"""The smallest application function: say who asks, and for what."""

import json


def handler(event, _context):
    """Answer a request that came through the API's authorizer."""
    claims = event["requestContext"]["authorizer"]["jwt"]["claims"]
    body = {"path": event["rawPath"], "user": claims["sub"]}
    return {"statusCode": 200, "body": json.dumps(body)}
