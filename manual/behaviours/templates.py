"""What AWS makes of the templates, and of the two roles of the pipeline."""

from __future__ import annotations

from emulator.sources import API, GITHUB, GUIDE, REFERENCE, Witness
from manual.behaviours.behaviour import Behaviour

SUBJECT = "The templates and the pipeline's roles"

_AWS = "https://docs.aws.amazon.com/"
_TEMPLATES = "infrastructure/cloudformation/"
_DEPLOY, _SERVICE = _TEMPLATES + "deploy-role.yaml", _TEMPLATES + "service-role.yaml"
_ROLE_TEST = "tests/test_deploy_role.py"

BEHAVIOURS: tuple[Behaviour, ...] = (
    # The roles
    Behaviour(
        "The subject of a repository's tokens carries ids, or not: both forms are taken",
        (_DEPLOY + "#GitHubRepository",),
        Witness.QUOTED,
        "Could not assume role with OIDC: Not authorized to perform sts:AssumeRoleWithWebIdentity.",
        GITHUB + "terraform-aws-modules/terraform-aws-iam/issues/659",
        either_way=True,
    ),
    Behaviour(
        "A session may not be longer than the role allows, nor shorter than the job",
        (_DEPLOY + "#DeployRole",),
        Witness.MODEL,
        "The value specified can range from 900 seconds (15 minutes) up to the maximum session "
        "duration set for the role.",
        _AWS + "STS/latest/APIReference/API_AssumeRole.html",
    ),
    Behaviour(
        "Tags of a stack want rights of their own, beside CreateStack and CreateChangeSet",
        (_DEPLOY + "#ChangePolicy", "tests/support/authorization.py#BESIDE"),
        Witness.DOCUMENT,
        "cloudformation:TagResource",
        GUIDE + "control-access-with-iam.html",
    ),
    Behaviour(
        "Fn::GetAZs and AWS's own parameter types read EC2 in the name of whoever proposes",
        (_DEPLOY + "#LookPolicy", "tests/support/authorization.py#BESIDE"),
        Witness.DOCUMENT,
        "you need permissions to the Amazon EC2 DescribeAvailabilityZones and "
        "DescribeAccountAttributes actions. For EC2-VPC, you also need permissions to the Amazon "
        "EC2 DescribeSubnets action.",
        REFERENCE + "intrinsic-function-reference-getavailabilityzones.html",
    ),
    Behaviour(
        "What a right can be held to is the Service Authorization Reference's to say",
        ("tests/support/authorization.py#REFERENCE", _ROLE_TEST),
        Witness.DOCUMENT,
        "",
        _AWS + "service-authorization/latest/reference/"
        "reference_policies_actions-resources-contextkeys.html",
    ),
    Behaviour(
        "A service role stays with the stack and is used for all that follows",
        (_SERVICE + "#ServiceRole",),
        Witness.MODEL,
        "CloudFormation always uses this role for all future operations on the stack.",
        API + "API_CreateStack.html",
    ),
    Behaviour(
        "The service role has to pass itself on to nested stacks",
        (_SERVICE + "#StacksPolicy",),
        Witness.QUOTED,
        "",
        GITHUB + "aws-solutions-library-samples/data-lakes-on-aws/issues/275",
    ),
    Behaviour(
        "Nested change sets are made in the caller's name or in the service role's: both have the "
        "rights",
        (_SERVICE + "#StacksPolicy", _DEPLOY + "#ChangePolicy"),
        Witness.NONE,
        never_seen="in whose name nested change sets are made and executed",
        either_way=True,
    ),
    Behaviour(
        "Only CloudFormation takes the service role; the stack's ARN is compared where it is sent",
        (_SERVICE + "#ServiceRole",),
        Witness.DOCUMENT,
        "",
        GUIDE + "cross-service-confused-deputy-prevention.html",
        never_seen="whether CloudFormation sends aws:SourceArn and aws:SourceAccount when it takes "
        "a stack's role",
        either_way=True,
    ),
    Behaviour(
        "Security groups and addresses are reported to get their tags after they were made",
        (_SERVICE + "#NetworkPolicy",),
        Witness.QUOTED,
        "",
        GITHUB + "aws-cloudformation/cloudformation-coverage-roadmap/issues/714",
        never_seen="whether CloudFormation tags security groups and addresses when it makes them, "
        "or by a later call",
        either_way=True,
    ),
    Behaviour(
        "A policy can forbid to write an object over another",
        (_DEPLOY + "#LookPolicy",),
        Witness.DOCUMENT,
        "s3:if-none-match",
        _AWS + "AmazonS3/latest/userguide/conditional-writes-enforce.html",
    ),
    Behaviour(
        "Rights on an HTTP API are held to its tag, those to make one to the tag that it gets",
        (_SERVICE + "#ApplicationPolicy",),
        Witness.DOCUMENT,
        "aws:ResourceTag/${TagKey}, aws:RequestTag/${TagKey}",
        _AWS + "service-authorization/latest/reference/list_amazonapigatewaymanagementv2.html",
        never_seen="whether what lies below /apis/* inherits the API's tags",
    ),
    Behaviour(
        "The ARN below /tags/ is compared encoded or plain: both are named",
        (_SERVICE + "#ApplicationPolicy",),
        Witness.NONE,
        never_seen="whether ARNs below API Gateway's /tags/ are compared URL-encoded",
        either_way=True,
    ),
    # The stacks
    Behaviour(
        "A budget with a name cannot be replaced, and a change of a threshold replaces it: it has "
        "none",
        (_TEMPLATES + "budget-stack.yaml#MonthlyBudget",),
        Witness.QUOTED,
        "Resource Budget failed because Error creating budget: my-budget - the budget already "
        "exists.",
        GITHUB + "aws-cloudformation/cloudformation-coverage-roadmap/issues/365",
    ),
    Behaviour(
        "A NAT gateway waits for its internet gateway only when it is told to",
        (_TEMPLATES + "network-stack.yaml#NatGateway",),
        Witness.QUOTED,
        "NatGateway nat-xxxxxxxx is in state failed and hence failed to stabilize. Detailed "
        "failure message: Network vpc-xxxxxx has no Internet gateway attached",
        GITHUB + "aws/aws-cdk/issues/16869",
    ),
    Behaviour(
        "An access log outside /aws/vendedlogs/ takes room in the region's one policy",
        (_TEMPLATES + "api-stack.yaml#AccessLogs",),
        Witness.QUOTED,
        "Cannot enable logging. Policy document length breaking Cloudwatch Logs Constraints, "
        "either < 1 or > 5120",
        GITHUB + "serverless/serverless/issues/10469",
    ),
    Behaviour(
        "API Gateway answers preflights itself as long as no route takes OPTIONS",
        (_TEMPLATES + "api-stack.yaml#HttpApi", _TEMPLATES + "api-stack.yaml#GetRoute"),
        Witness.DOCUMENT,
        "If you configure CORS for an API, API Gateway automatically sends a response to preflight "
        "OPTIONS requests, even if there isn't an OPTIONS route configured for your API.",
        _AWS + "apigateway/latest/developerguide/http-api-cors.html",
    ),
    Behaviour(
        "API Gateway v2 and ECS are made by CloudFormation as their schemas say",
        (_TEMPLATES + "api-stack.yaml#HttpApi", _TEMPLATES + "compute-stack.yaml#Cluster"),
        Witness.SCHEMA,
        "primaryIdentifier, readOnlyProperties, createOnlyProperties",
        REFERENCE + "aws-template-resource-type-ref.html",
        never_seen="API Gateway v2 and ECS made, changed or deleted through CloudFormation",
    ),
    Behaviour(
        "A retained user pool keeps its client, group and administrator, but not from a creation "
        "that fails",
        (_TEMPLATES + "auth-stack.yaml#WebClient", _TEMPLATES + "auth-stack.yaml#AdminUser"),
        Witness.DOCUMENT,
        "RetainExceptOnCreate behaves like Retain for stack operations, except for the stack "
        "operation that initially created the resource.",
        REFERENCE + "aws-attribute-deletionpolicy.html",
    ),
    Behaviour(
        "A model's calls carry a tag on the bill only through an inference profile of one's own",
        (_TEMPLATES + "compute-stack.yaml#ModelProfile1",),
        Witness.DOCUMENT,
        "",
        _AWS + "bedrock/latest/userguide/inference-profiles-create.html",
        never_seen="whether Bedrock copies a profile whose id begins with global. into an "
        "application inference profile",
        reason="off by default (`SplitCostsByEnvironment`), so that a refusal stops nobody who "
        "did not ask for it",
    ),
    Behaviour(
        "A task definition of a named family keeps its revisions, and its failed tasks are told",
        (
            _TEMPLATES + "compute-stack.yaml#GenerationTask",
            _TEMPLATES + "compute-stack.yaml#FailedTasks",
        ),
        Witness.DOCUMENT,
        "ECS Task State Change",
        _AWS + "AmazonECS/latest/developerguide/ecs_task_events.html",
    ),
    Behaviour(
        "A site that is uploaded runs no build, so that variables of Amplify's builds do nothing",
        (_TEMPLATES + "frontend-stack.yaml#AmplifyApp",),
        Witness.DOCUMENT,
        "",
        _AWS + "amplify/latest/userguide/manual-deploys.html",
        reason="the configuration of the web application is an output (`FrontendConfig`), and goes "
        "into the upload as a file",
    ),
    Behaviour(
        "A call through a global inference profile may run in any region, and costs less",
        ("inputs/environments.split_models",),
        Witness.DOCUMENT,
        "",
        _AWS + "bedrock/latest/userguide/global-cross-region-inference.html",
        reason="not in Europe, whose installations keep to their own geography",
    ),
    Behaviour(
        "ListTasks can be held to a cluster: a deletion looks for running tasks in its own only",
        (_DEPLOY + "#ChangePolicy", _TEMPLATES + "compute-stack.yaml#Cluster"),
        Witness.DOCUMENT,
        "ecs:cluster",
        _AWS + "service-authorization/latest/reference/list_amazonelasticcontainerservice.html",
        never_seen="whether ListTasks sends the ecs:cluster of a cluster that has only Fargate "
        "tasks",
    ),
)
