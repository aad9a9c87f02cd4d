"""Know AWS's wordings: what each means for this application, and what helps.

One table. A wording that is not in it is shown as AWS said it, and nothing is made up. Each names
where its words were read: a recorded answer, AWS's document, or an answer quoted in public.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CFN = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/"
_ECS = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/"
_IAM = "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
_GITHUB = "https://github.com/"


@dataclass(frozen=True)
class Wording:
    """One thing that AWS says: how it is recognised, what it means, what helps, who vouches.

    `text` is an answer in AWS's literal words, which `pattern` matches, and `where` is the page,
    the issue or the recording it stands in. `next_step` may contain `{target}`, for the flags that
    name environment, region and stack, and the pattern's groups by name.
    """

    name: str
    pattern: str
    means: str
    next_step: str
    text: str
    where: str


@dataclass(frozen=True)
class Match:
    """A wording that was recognised in a text."""

    wording: Wording
    found: re.Match[str]

    def group(self, name: str) -> str:
        """Return what stands in the place of a named group, "" for nothing."""
        return self.found.groupdict().get(name) or ""

    @property
    def means(self) -> str:
        """Return what it means, in one sentence."""
        return self.wording.means.format(**self._words())

    def next_step(self, target: str) -> str:
        """Return what helps, with the flags that name the target."""
        return self.wording.next_step.format(target=target, **self._words())

    def _words(self) -> dict[str, str]:
        return {name: value or "?" for name, value in self.found.groupdict().items()}


#: In the order of how much each tells; the first that matches is taken.
TABLE: tuple[Wording, ...] = (
    Wording(
        "denied",
        r"(?:User: (?P<principal>\S+) is )?not authorized to perform: (?P<action>[\w-]+:\w+)"
        r"(?: on resource: (?P<resource>.+?)(?= because | \(Service|\"|\. |$))?"
        r"(?: because (?P<because>.+? action))?",
        "{action} is denied to {principal}",
        "give that principal the right (service-role.yaml holds those of CloudFormation, "
        "deploy-role.yaml the pipeline's), then inv deploy {target}",
        "User: arn:aws:sts::111111111111:assumed-role/iac-analyzer-deployment-stack-EC2Role/i-1 "
        "is not authorized to perform: iam:UpdateAssumeRolePolicy on resource: role cdk because no "
        "identity-based policy allows the iam:UpdateAssumeRolePolicy action",
        _GITHUB + "aws-samples/well-architected-iac-analyzer/issues/108",
    ),
    Wording(
        "denied-encoded",
        r"Encoded authorization failure message: (?P<encoded>[\w-]+)",
        "EC2 denied the call, and says to whom and what only in a coded message",
        "give the principal the right it lacks, then inv deploy {target}",
        "You are not authorized to perform this operation. Encoded authorization failure message: "
        "x1y2z3",
        "https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html",
    ),
    Wording(
        "exists-in-stack",
        r"(?P<name>\S+) already exists in stack (?P<stack>arn:\S+?:stack/\S+)",
        "{name} belongs to another stack, {stack}",
        "delete it there, or take its fixed name out of the template, then inv deploy {target}",
        "fsmt-XXXXXXXX already exists in stack arn:aws:cloudformation:us-east-1:XXXXXXXXXXXX:stack/"
        "awseb-X-XXXXXXXXXX-stack/XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX",
        _GITHUB + "aws-samples/eb-php-wordpress/issues/25",
    ),
    Wording(
        "exists",
        r"(?:with (?:identifier|name) '?(?P<identifier>[^'\s]+)'? already exists)"
        r"|(?:Table already exists: (?P<table>[^\s\"]+))|(?P<name>[\w.-]{3,}) already exists",
        "something of that name is there already",
        "what an earlier deletion retained comes back under the stack with inv rescue.adopt "
        "--resource PATH --physical-id NAME {target}",
        "ample-dev-notification already exists",
        _GITHUB + "Sceptre/sceptre/issues/424",
    ),
    Wording(
        "limit",
        r"maximum number of (?P<things>[\w ]+?) has been reached|HandlerErrorCode: "
        r"ServiceLimitExceeded|LimitExceeded",
        "a quota of the account is used up in this region",
        "remove what is not needed, or ask for more in the Service Quotas console, then "
        "inv deploy {target}",
        'Resource handler returned message: "The maximum number of VPCs has been reached. '
        '(Service: Ec2, Status Code: 400, Request ID: 5ce9e2b3)" (RequestToken: 79d65bb7, '
        "HandlerErrorCode: GeneralServiceException)",
        _GITHUB + "awslabs/landing-zone-accelerator-on-aws/issues/241",
    ),
    Wording(
        "ecs-circuit-breaker",
        r"ECS Deployment Circuit Breaker was triggered",
        "the service's tasks stopped again and again, and ECS gave up",
        "mend what stops the task, then inv deploy {target}",
        "Resource handler returned message: \"Error occurred during operation 'ECS Deployment "
        "Circuit Breaker was triggered'.\" (RequestToken: a3ab2120, HandlerErrorCode: "
        "GeneralServiceException)",
        _GITHUB + "aws/copilot-cli/issues/5296",
    ),
    Wording(
        "image-missing",
        r"CannotPullContainerError|CannotPullImageManifestError",
        "the image of a task could not be pulled: it is not in its repository, or out of reach",
        "push the image, then inv deploy --image TAG {target}",
        "CannotPullContainerError",
        _ECS + "task_cannot_pull_image.html",
    ),
    Wording(
        "task-resources",
        r"ResourceInitializationError",
        "a task could not reach what it needs to start: its image, secrets, log or file system",
        "check the task execution role and that the subnets reach AWS, then inv deploy {target}",
        "ResourceInitializationError",
        _ECS + "resource-initialization-error.html",
    ),
    Wording(
        "out-of-memory",
        r"OutOfMemoryError|exit code 137",
        "a container was killed, most often because it took more memory than it was given",
        "raise TaskMemory in the parameter file, then inv deploy {target}",
        "OutOfMemoryError: Container killed due to memory usage",
        _ECS + "out-of-memory.html",
    ),
    Wording(
        "container-exited",
        r"Essential container in task exited",
        "a container ended by itself; its log says why",
        "mend what its log says, push the image again, then inv deploy {target}",
        "Essential container in task exited",
        _ECS + "stopped-task-error-codes.html",
    ),
    Wording(
        "no-linked-role",
        r"Unable to assume the service linked role",
        "the account has no service-linked role for ECS yet, or it was made a moment ago",
        "inv preflight {target}, then inv deploy {target}",
        "Unable to assume the service linked role. Please verify that the ECS service linked role "
        "exists.",
        _ECS + "using-service-linked-roles.html",
    ),
    Wording(
        "custom-resource",
        r"Received response status \[FAILED\] from custom resource|did not receive a response from "
        r"your Custom Resource|See the details in CloudWatch Log Stream",
        "the function behind the custom resource failed, or never answered",
        "mend what its log says, then inv deploy {target}",
        "Received response status [FAILED] from custom resource. Message returned: See the details "
        "in CloudWatch Log Stream: 2021/08/17/[$LATEST]0a1b (RequestId: 1f2e)",
        _GITHUB + "awslabs/aws-well-architected-labs/issues/337",
    ),
    Wording(
        "code-missing",
        r"Error occurred while GetObject\. S3 Error Code: (?P<code>\w+)",
        "Lambda could not read the function's code from its bucket ({code})",
        "inv deploy --code FOLDER {target}, with the folder or zip that holds the code",
        'Resource handler returned message: "Error occurred while GetObject. S3 Error Code: '
        "NoSuchKey. S3 Error Message: The specified key does not exist. (Service: Lambda, Status "
        'Code: 400, Request ID: ...)" (RequestToken: ..., HandlerErrorCode: InvalidRequest)',
        _GITHUB + "aws-samples/aws-account-vending-machine/issues/23",
    ),
    Wording(
        "export-in-use",
        r"Export (?P<name>\S+) cannot be (?:updated|deleted) as it is in use by (?P<stack>[^\s.]+)",
        "stack {stack} imports {name}, and AWS neither changes nor removes it until it does not",
        "take the import out of stack {stack} first, then inv deploy {target}",
        "Export EXPORT_NAME cannot be updated as it is in use by STACK_NAME",
        "https://repost.aws/knowledge-center/cloudformation-stack-export-name-error",
    ),
    Wording(
        "bucket-full",
        r"The bucket you tried to delete is not empty",
        "S3 deletes no bucket that holds objects",
        "empty the bucket, or keep it with --retain, then the same command again",
        "The bucket you tried to delete is not empty (Service: Amazon S3; Status Code: 409; Error "
        "Code: BucketNotEmpty; ...)",
        _GITHUB + "aws/aws-cdk/issues/21776",
    ),
    Wording(
        "dependent",
        r"has a dependent object|has dependencies and cannot be deleted|DependencyViolation",
        "something outside the stack still hangs on it, most often the network interface of a task "
        "or function",
        "wait until it is gone or remove it, then run the same command again",
        "resource sg-11223344 has a dependent object",
        _CFN + "troubleshooting.html",
    ),
    Wording(
        "no-stabilising",
        r"did not stabilize|failed to stabilize|Exceeded attempts to wait|NotStabilized",
        "AWS waited for it to become ready, and it did not in time",
        "look at the resource itself, then inv deploy {target}",
        "Resource failed to stabilize",
        _CFN + "troubleshooting.html",
    ),
    Wording(
        "no-signal",
        r"Failed to receive \d+ resource signal\(s\) within the specified duration|WaitCondition "
        r"timed out",
        "nobody signalled that it is ready before the time was up",
        "look at what should have signalled, then inv deploy {target}",
        "Failed to receive 1 resource signal(s) within the specified duration",
        _GITHUB + "aws-quickstart/quickstart-tableau-server/issues/96",
    ),
    Wording(
        "no-replacement",
        r"Replacement type updates not supported on stack with disable-rollback",
        "AWS replaces nothing while rollback is disabled",
        "inv rollback {target}, then inv deploy {target} without --disable-rollback and --express",
        "Replacement type updates not supported on stack with disable-rollback.",
        _GITHUB + "anomalyco/sst/issues/970",
    ),
    Wording(
        "expired",
        r"security token included in the request is expired",
        "the credentials that CloudFormation worked with ended before it did",
        "give it a service role with --role-arn, or sign in for longer, then inv deploy {target}",
        "The security token included in the request is expired",
        _CFN + "using-iam-servicerole.html",
    ),
    Wording(
        "transform",
        r"Transform (?P<name>\S+) failed",
        "the macro {name} did not transform the template",
        "mend the macro or the template, then inv deploy {target}",
        "Transform 111111111111::Unsuccessful failed with: failed because it is a test. Rollback "
        "requested by user.",
        "localstack/localstack, tests/aws/services/cloudformation/: recorded events of transforms",
    ),
    Wording(
        "property",
        r"Property validation failure: \[(?P<what>[^\]]+)\]|Model validation failed",
        "a property is not what the resource type takes",
        "mend the property in its template, then inv deploy {target}",
        "Property validation failure: [The property {/Type} is required]",
        "localstack/localstack, tests/aws/services/cloudformation/: recorded events",
    ),
    Wording(
        "output",
        r"\[Error\] /Outputs/(?P<name>\w+)/"
        r"|Unresolved resource dependencies .* in the Outputs block",
        "an output reads something that is not there",
        "mend the output in its template, then inv deploy {target}",
        "[Error] /Outputs/InvalidOutput/Value/Fn::GetAtt: Resource type AWS::SSM::Parameter does "
        "not support attribute {Invalid}. Rollback requested by user.",
        "localstack/localstack, tests/aws/services/cloudformation/engine/"
        "test_attributes.snapshot.json",
    ),
    Wording(
        "access-denied",
        r"Access ?Denied|UnauthorizedOperation|HandlerErrorCode: AccessDenied|Status Code: 403",
        "AWS denied something, and does not say here what to whom",
        "inv rescue.explain {target} in some minutes: CloudTrail knows it by then",
        "Access Denied",
        "localstack/localstack, tests/aws/services/s3/: recorded answers",
    ),
    Wording(
        "throttled",
        r"Rate exceeded|Throttling|TooManyRequests",
        "AWS was asked too often, by whomever",
        "inv deploy {target} once more",
        "Rate exceeded",
        "https://docs.aws.amazon.com/general/latest/gr/api-retries.html",
    ),
)


def recognise(text: str) -> Match | None:
    """Return the first wording of the table that a text has, None for one that is not known."""
    for wording in TABLE:
        found = re.search(wording.pattern, text)
        if found:
            return Match(wording, found)
    return None
