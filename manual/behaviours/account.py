"""What an account, its credentials, quotas, models and costs answer; and many regions."""

from __future__ import annotations

from emulator.sources import API, GITHUB, GUIDE, RECORDED, Witness
from manual.behaviours.behaviour import Behaviour
from manual.behaviours.data import PLACEBO, S3

SUBJECT = "Account, credentials, quotas, models, costs and regions"

_AWS = "https://docs.aws.amazon.com/"

BEHAVIOURS: tuple[Behaviour, ...] = (
    Behaviour(
        "STS tells account and caller",
        ("session.Aws.identity",),
        Witness.RECORDED,
        "Account, Arn",
        PLACEBO + "test_credential_sts",
    ),
    Behaviour(
        "A refused HEAD request has no body: 400 is taken for expired credentials",
        ("refusals.explain",),
        Witness.MODEL,
        "Because of this, if the HEAD request generates an error, it returns a generic code, such "
        "as 400 Bad Request, 403 Forbidden, 404 Not Found, 405 Method Not Allowed, 412 "
        "Precondition Failed, or 304 Not Modified.",
        S3 + "API_HeadObject.html",
        never_seen="S3's answer to a HEAD request whose token has expired",
    ),
    Behaviour(
        "Throttling has a dozen codes, which differ from service to service",
        ("refusals.is_throttled", "polling.ask_patiently"),
        Witness.DOCUMENT,
        "",
        _AWS + "general/latest/gr/api-retries.html",
    ),
    Behaviour(
        "A quota that was never raised has AWS's default alone",
        ("checks/quotas.measure",),
        Witness.MODEL,
        "For some quotas, only the default values are available. If the applied quota value is not "
        "available for a quota, the quota is not retrieved.",
        _AWS + "servicequotas/2019-06-24/apireference/API_GetServiceQuota.html",
    ),
    Behaviour(
        "A quota is a number under its code",
        ("checks/quotas.measure",),
        Witness.RECORDED,
        "QuotaCode, Value",
        PLACEBO + "test_service_quota",
    ),
    Behaviour(
        "IAM itself counts roles and their quota, for the whole account",
        ("checks/quotas.measure_roles",),
        Witness.DOCUMENT,
        "Roles, RolesQuota",
        _AWS + "IAM/latest/APIReference/API_GetAccountSummary.html",
    ),
    Behaviour(
        "A region may be switched off for the account",
        ("checks/preflight.find_disabled",),
        Witness.DOCUMENT,
        "not-opted-in",
        _AWS + "AWSEC2/latest/APIReference/API_DescribeRegions.html",
    ),
    Behaviour(
        "Bedrock lists foundation models and inference profiles of a region by their ids",
        ("checks/models.look",),
        Witness.RECORDED,
        "modelId, inferenceProfileId",
        PLACEBO + "test_bedrock_foundation_model_query, "
        "test_bedrock_application_inference_profile_v2",
    ),
    Behaviour(
        "A model of another provider is agreed to once per account, by an administrator",
        ("infrastructure/cloudformation/iam-stack.yaml#ECSTaskRole",),
        Witness.DOCUMENT,
        "When you invoke a third-party model for the first time in your account, Amazon Bedrock "
        "automatically initiates the subscription process in the background.",
        _AWS + "bedrock/latest/userguide/model-access.html",
        reason="the task never gets the right to subscribe: whoever starts jobs could otherwise "
        "enter into a contract; the guide says who agrees, and how",
    ),
    Behaviour(
        "Budgets come with limit, spending and forecast",
        ("costs/bill.read",),
        Witness.RECORDED,
        "BudgetName, BudgetLimit, CalculatedSpend",
        PLACEBO + "test_budget_query",
    ),
    Behaviour(
        "Cost Explorer has no forecast without history, and a code for that",
        ("costs/bill.read",),
        Witness.MODEL,
        "The requested data is unavailable.",
        _AWS + "aws-cost-management/latest/APIReference/API_GetCostForecast.html "
        "(DataUnavailableException)",
    ),
    Behaviour(
        "A user pool shows its password policy",
        ("checks/protection.pool_flaws",),
        Witness.RECORDED,
        "PasswordPolicy",
        PLACEBO + "test_cognito-user-pool",
    ),
    Behaviour(
        "An HTTP API gives a function 30 seconds, so that a cold one answers late or 503",
        ("checks/health.ask",),
        Witness.DOCUMENT,
        "",
        _AWS + "apigateway/latest/developerguide/http-api-quotas.html",
        never_seen="the first answer of an API after its creation",
        either_way=True,
    ),
    Behaviour(
        "StackSets with self-managed permissions need two roles, which are looked for first",
        ("regions/stacksets.require_roles",),
        Witness.MODEL,
        "With self-managed permissions, you must create the administrator and execution roles "
        "required to deploy to target accounts.",
        API + "API_CreateStackSet.html",
        never_seen="any operation of a stack set",
    ),
    Behaviour(
        "An operation of a stack set is carried out once, however often it is asked for",
        ("regions/stacksets.start",),
        Witness.MODEL,
        "The operation ID also functions as an idempotency token, to ensure that CloudFormation "
        "performs the StackSet operation only once, even if you retry the request multiple times.",
        API + "API_CreateStackInstances.html",
    ),
    Behaviour(
        "A change of the stack set itself reaches every instance that it is not kept from",
        ("regions/steps.plan_steps",),
        Witness.DOCUMENT,
        "",
        GUIDE + "what-is-cfnstacksets.html",
        never_seen="an update of a stack set that is restricted to some of its regions",
    ),
    Behaviour(
        "A role that CloudFormation cannot take is a ValidationError, known by its text",
        ("refusals.explain",),
        Witness.RECORDED,
        "Role arn:<partition>:iam::111111111111:role/role-fb405076 is invalid or cannot be assumed",
        RECORDED + "api/test_update_stack.snapshot.json::test_update_with_role_without_permissions",
        never_seen="the answer to a role that was made seconds ago",
        either_way=True,
    ),
    Behaviour(
        "An endpoint that lacks an operation answers with a fault, and for ever",
        ("refusals.is_unsupported", "refusals.is_passing"),
        Witness.QUOTED,
        "API action 'X' for service 'Y' not yet implemented or pro feature",
        "LocalStack's own words",
    ),
    Behaviour(
        "Who must type a code signs in once, for all regions, where somebody can be asked",
        ("session.SignIn",),
        Witness.DOCUMENT,
        "",
        _AWS + "cli/latest/userguide/cli-configure-role.html",
        never_seen="a code of an MFA device, or a profile of aws login, with AWS's own STS",
    ),
    Behaviour(
        "Each partition has a domain of its own, in URLs of templates as elsewhere",
        ("session.Aws.url_suffix", "releases/store.object_url"),
        Witness.MODEL,
        "dnsSuffix",
        _AWS + "whitepapers/latest/aws-fault-isolation-boundaries/partitions.html",
        never_seen="a TemplateURL in any partition but aws, the European Sovereign Cloud and the "
        "isolated ones above all",
    ),
    Behaviour(
        "In an account where ECS never worked the first cluster fails: its role is looked for, and "
        "made when that is agreed to",
        ("checks/linked_roles.look", "checks/linked_roles.make"),
        Witness.QUOTED,
        "Invalid request provided: CreateCluster Invalid Request: Unable to assume the service "
        "linked role. Please verify that the ECS service linked role exists.",
        GITHUB + "aws-cloudformation/cloudformation-coverage-roadmap/issues/818",
        never_seen="whether 15 seconds are enough for ECS's new role to be taken",
    ),
    Behaviour(
        "That a model is listed does not mean that it may be called; entitlement and agreement do",
        ("checks/models.look",),
        Witness.MODEL,
        "agreementAvailability, authorizationStatus, entitlementAvailability, regionAvailability",
        _AWS + "bedrock/latest/APIReference/API_GetFoundationModelAvailability.html",
        never_seen="an answer of GetFoundationModelAvailability: which of the four a fresh account "
        "lacks, and regionAvailability of a model that a region has through a profile alone",
    ),
    Behaviour(
        "IAM simulates what the caller may do, where that is allowed",
        ("checks/permissions.look",),
        Witness.DOCUMENT,
        "",
        _AWS + "IAM/latest/APIReference/API_SimulatePrincipalPolicy.html",
        never_seen="an answer of SimulatePrincipalPolicy to a session of a role, or about "
        "resources that do not exist, and the form in which it tells results per resource",
        either_way=True,
    ),
    Behaviour(
        "DescribeImages of a tag that is not there is an error, or an empty list",
        ("deploy/images.require",),
        Witness.QUOTED,
        "The image with imageId {imageDigest:'null', imageTag:'latest'} does not exist within the "
        "repository with name 'main'",
        "https://github.com/hashicorp/terraform-provider-aws/issues/35268",
        either_way=True,
    ),
    Behaviour(
        "HeadObject of an archive that is not there is 404, or 403 to who may not list the bucket",
        ("deploy/archives.require",),
        Witness.DOCUMENT,
        "If you don't have the s3:ListBucket permission, Amazon S3 returns an HTTP status code 403 "
        "error.",
        _AWS + "AmazonS3/latest/API/API_HeadObject.html",
        either_way=True,
    ),
    Behaviour(
        "A deployment of a site waits until the one before has ended",
        ("deploy/site.follow_up",),
        Witness.QUOTED,
        "was not finished, please wait until it finish or use StopJob operation to cancel it "
        "before creating a new deployment.",
        "https://github.com/aws-amplify/amplify-backend/issues/1528",
        never_seen="what Amplify's upload address wants beside the bytes of the zip, and how long "
        "a deployment takes",
    ),
)
