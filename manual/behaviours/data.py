"""What DynamoDB and S3 do with what may not be lost."""

from __future__ import annotations

from emulator.sources import GUIDE, Witness
from manual.behaviours.behaviour import Behaviour

SUBJECT = "Tables, backups, restores and buckets"

DYNAMODB = "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/"
S3 = "https://docs.aws.amazon.com/AmazonS3/latest/API/"
PLACEBO = "cloud-custodian/cloud-custodian, tests/data/placebo/"
S3_RECORDED = "localstack/localstack, tests/aws/services/s3/"

BEHAVIOURS: tuple[Behaviour, ...] = (
    Behaviour(
        "CreateBackup returns before the backup is there; only AVAILABLE counts",
        ("data/proving.take_backups",),
        Witness.MODEL,
        "Backup requests are processed instantaneously and become available for restore within "
        "minutes.",
        DYNAMODB + "API_CreateBackup.html",
    ),
    Behaviour(
        "Backups are listed and described with table, name, status and size",
        ("data/catalogue.read_backup", "data/catalogue.list_backups"),
        Witness.RECORDED,
        "BackupDetails, SourceTableDetails",
        PLACEBO + "test_dynamodb_delete_backup, test_dynamodb_create_backup",
    ),
    Behaviour(
        "A backup may lack what was written in the minute before it was asked for, so a change "
        "that costs data waits that minute out first",
        ("data/consent.back_up",),
        Witness.MODEL,
        "If you submit a backup request on 2018-12-14 at 14:25:00, the backup is guaranteed to "
        "contain all data committed to the table up to 14:24:00, and data committed after "
        "14:26:00 will not be.",
        DYNAMODB + "API_CreateBackup.html",
    ),
    Behaviour(
        "CreateBackup takes no token, so that a request whose answer was lost is looked up by "
        "the backup's name, and a second backup is reported",
        ("data/proving.take_backups",),
        Witness.MODEL,
        "CreateBackupInput: TableName, BackupName",
        DYNAMODB + "API_CreateBackup.html",
    ),
    Behaviour(
        "DescribeBackup is allowed ten times a second: the listing is asked first",
        ("data/proving.PARALLEL_CALLS",),
        Witness.MODEL,
        "You can call DescribeBackup at a maximum rate of 10 times per second.",
        DYNAMODB + "API_DescribeBackup.html",
    ),
    Behaviour(
        "Point-in-time recovery is on or off, with the times that it reaches",
        ("data/tables.read_window",),
        Witness.RECORDED,
        "PointInTimeRecoveryStatus",
        PLACEBO + "test_dynamodb_continuous_backup_filter",
    ),
    Behaviour(
        "A table that is gone has an answer of its own",
        ("data/tables.read_window",),
        Witness.RECORDED,
        "Table not found: mosdef-deleted",
        PLACEBO + "test_dynamodb_continuous_backup_filter (TableNotFoundException)",
    ),
    Behaviour(
        "The last minutes cannot be restored; a moment outside the window is refused before",
        ("data/sources.choose_source",),
        Witness.MODEL,
        "LatestRestorableDateTime is typically 5 minutes before the current time.",
        DYNAMODB + "API_DescribeContinuousBackups.html",
    ),
    Behaviour(
        "A restore makes a new table and leaves settings out, which are applied again or named",
        ("data/new_tables.create_from", "data/settings.name_unrestored"),
        Witness.MODEL,
        "You must manually set up the following on the restored table: Auto scaling policies, IAM "
        "policies, Amazon CloudWatch metrics and alarms, Tags, Stream settings, Time to Live (TTL) "
        "settings",
        DYNAMODB + "API_RestoreTableFromBackup.html",
        never_seen="a restore of a table, from its first answer to ACTIVE",
    ),
    Behaviour(
        "A table that was just made may not be found yet",
        ("data/new_tables.create_from",),
        Witness.MODEL,
        "If you issue a DescribeTable request immediately after a CreateTable request, DynamoDB "
        "might return a ResourceNotFoundException.",
        DYNAMODB + "API_DescribeTable.html",
    ),
    Behaviour(
        "DynamoDB's own count is hours old, so restored items are counted by reading them",
        ("data/new_tables.create_from",),
        Witness.MODEL,
        "DynamoDB updates this value approximately every six hours. Recent changes might not be "
        "reflected in this value.",
        DYNAMODB + "API_TableDescription.html",
    ),
    Behaviour(
        "TTL can be changed once an hour; that it is on already is as good",
        ("data/settings.reapply_ttl",),
        Witness.MODEL,
        "Any additional UpdateTimeToLive calls for the same table during this one hour duration "
        "result in a ValidationException.",
        DYNAMODB + "API_UpdateTimeToLive.html",
    ),
    Behaviour(
        "Tags that begin with aws: are AWS's own and are not given to a restored table",
        ("data/settings.read_settings",),
        Witness.RECORDED,
        "Tags: Key, Value",
        PLACEBO + "test_dynamodb_tag",
    ),
    Behaviour(
        "LimitExceededException of DynamoDB passes, that of CloudFormation is a quota",
        ("refusals.is_throttled",),
        Witness.MODEL,
        "For most purposes, up to 500 simultaneous table operations are allowed per account.",
        DYNAMODB + "API_CreateBackup.html (LimitExceededException)",
    ),
    Behaviour(
        "A restored table is put in the old one's place by an import",
        ("data/switching.explain_switch_over",),
        Witness.DOCUMENT,
        "",
        GUIDE + "import-resources-automatically.html",
        never_seen="an import of a restored table into a nested stack",
    ),
    Behaviour(
        "An object is written only where none is",
        ("releases/releases.publish",),
        Witness.RECORDED,
        "At least one of the pre-conditions you specified did not hold",
        S3_RECORDED + "test_s3_api.snapshot.json::TestS3ObjectWritePrecondition "
        "(PreconditionFailed)",
    ),
    Behaviour(
        "Two writers of one object at once: one is told to try again",
        ("releases/releases.publish",),
        Witness.RECORDED,
        "The conditional request cannot succeed due to a conflicting operation against this "
        "resource.",
        S3_RECORDED + "test_s3_api.snapshot.json::TestS3ObjectWritePrecondition "
        "(ConditionalRequestConflict)",
    ),
    Behaviour(
        "A lock is replaced only as it was read",
        ("releases/locks.write", "releases/locks.take", "releases/locks.renew"),
        Witness.MODEL,
        "Uploads the object only if the ETag (entity tag) value provided during the WRITE "
        "operation matches the ETag of the object in S3. If the ETag values do not match, the "
        "operation returns a 412 Precondition Failed error.",
        S3 + "API_PutObject.html (IfMatch)",
        never_seen="the answer to If-Match where the object has gone; 404 and 412 count as one",
        either_way=True,
    ),
    Behaviour(
        "A lock is deleted only as it was written last",
        ("releases/locks.release",),
        Witness.MODEL,
        "Deletes the object if the ETag (entity tag) value provided during the delete operation "
        "matches the ETag of the object in S3. If the ETag values do not match, the operation "
        "returns a 412 Precondition Failed error.",
        S3 + "API_DeleteObject.html (IfMatch)",
        never_seen="a second request to delete after the first one's answer was lost; 204, 404 and "
        "412 count as gone",
        either_way=True,
    ),
    Behaviour(
        "The age of a lock is told by S3 alone",
        ("releases/locks.read",),
        Witness.DOCUMENT,
        "",
        S3 + "API_GetObject.html (Last-Modified)",
        never_seen="how far Date and Last-Modified of one region may be apart; ten seconds are "
        "allowed for",
    ),
    Behaviour(
        "Bytes that do not match their digest are refused by S3 itself",
        ("releases/releases.publish",),
        Witness.RECORDED,
        "The SHA256 you specified did not match the calculated checksum.",
        S3_RECORDED + "test_s3.snapshot.json (BadDigest)",
    ),
    Behaviour(
        "A bucket of another account is refused, whoever it lets in",
        ("releases/store.Bucket.explain", "releases/store.ensure_bucket"),
        Witness.MODEL,
        "If the account ID that you provide does not match the actual owner of the bucket, the "
        "request fails with the HTTP status code 403 Forbidden (access denied).",
        S3 + "API_PutObject.html (ExpectedBucketOwner)",
    ),
    Behaviour(
        "A bucket that is ours already is no error",
        ("releases/store.ensure_bucket",),
        Witness.RECORDED,
        "Your previous request to create the named bucket succeeded and you already own it.",
        S3_RECORDED + "test_s3.snapshot.json (BucketAlreadyOwnedByYou)",
    ),
    Behaviour(
        "us-east-1 is the one region that may not be named when a bucket is made",
        ("releases/store.ensure_bucket",),
        Witness.RECORDED,
        "The specified location-constraint is not valid",
        S3_RECORDED + "test_s3.snapshot.json (InvalidLocationConstraint)",
    ),
    Behaviour(
        "Each setting that a bucket lacks has an error of its own",
        ("releases/store.ensure_bucket", "checks/protection.bucket_flaws"),
        Witness.RECORDED,
        "The public access block configuration was not found",
        S3_RECORDED + "test_s3_api.snapshot.json (NoSuchPublicAccessBlockConfiguration)",
    ),
)
