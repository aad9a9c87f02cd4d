"""Find out how large the quota is that was reached."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from lib.causes.evidence import Case, Search
from lib.refusals import error_code

#: Service Quotas says this where nobody asked for more than AWS's default.
_NO_APPLIED_QUOTA = "NoSuchResourceException"

#: The quota that a resource of a type counts against: the service's and the quota's code, as
#: ListServiceQuotas gives them, and what it counts.
#: https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html
QUOTAS = {
    "AWS::Cognito::UserPool": ("cognito-idp", "L-66E6DF30", "user pools"),
    "AWS::DynamoDB::Table": ("dynamodb", "L-F98FE922", "tables"),
    "AWS::EC2::EIP": ("ec2", "L-0263D0A3", "Elastic IP addresses"),
    "AWS::EC2::InternetGateway": ("vpc", "L-A4707A72", "internet gateways"),
    "AWS::EC2::NatGateway": ("vpc", "L-FE5A380F", "NAT gateways per zone"),
    "AWS::EC2::SecurityGroup": ("vpc", "L-E79EC296", "security groups"),
    "AWS::EC2::VPC": ("vpc", "L-F678F1CE", "VPCs"),
    "AWS::EC2::VPCEndpoint": ("vpc", "L-1B52E74A", "gateway endpoints"),
    "AWS::ECS::Cluster": ("ecs", "L-21C621EB", "clusters"),
    "AWS::S3::Bucket": ("s3", "L-DC2B2D3D", "buckets"),
}


def look(search: Search, case: Case) -> None:
    """Add the quota that a type's resources count against."""
    known = QUOTAS.get(case.type)
    if known is None:
        search.give_up("quota", f"which one {case.type} counts against is not known here")
        return
    service, code, things = known
    quotas = search.access.aws.client("service-quotas")

    value = search.ask(f"quota {code}", lambda: read(quotas, service, code))
    if value is not None:
        region = search.access.aws.region
        search.add("quota", f"{value:g} {things} in {region} (Service Quotas, {service} {code})")


def read(quotas: Any, service: str, code: str) -> float:
    """Return a quota as it applies to the account, AWS's default where none was asked for.

    https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetAWSDefaultServiceQuota.html
    """
    names = {"ServiceCode": service, "QuotaCode": code}
    try:
        answer = quotas.get_service_quota(**names)
    except ClientError as exc:
        if error_code(exc) != _NO_APPLIED_QUOTA:
            raise
        answer = quotas.get_aws_default_service_quota(**names)
    return float(answer["Quota"]["Value"])
