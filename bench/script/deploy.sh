#!/usr/bin/env bash
# The steps that the requirements of phase 7 write down for shell scripts, driven by the AWS
# CLI: a peer to measure the tasks against. Questions are answered with yes.
#
#     deploy.sh deploy|upload|backup|preview STACK REGION ENVIRONMENT
set -euo pipefail

step=$1 stack=$2 region=$3 environment=$4
templates=infrastructure/cloudformation
master=$templates/master-stack.yaml
parameters=infrastructure/parameters/$environment.json
cfn=(aws cloudformation --region "$region")

upload() {
  local account bucket template
  account=$(aws sts get-caller-identity --query Account --output text)
  bucket=plot-palette-cfn-$account-$region
  if ! aws s3 ls "s3://$bucket" > /dev/null 2>&1; then
    aws s3 mb "s3://$bucket" --region "$region"
    aws s3api put-bucket-versioning --bucket "$bucket" --versioning-configuration Status=Enabled
    aws s3api put-public-access-block --bucket "$bucket" --public-access-block-configuration \
      BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true
  fi
  aws s3 sync "$templates/" "s3://$bucket/" --exclude master-stack.yaml --region "$region"
  if [ "${VALIDATE:-yes}" = yes ]; then
    for template in "$templates"/*.yaml; do
      "${cfn[@]}" validate-template --template-body "file://$template" > /dev/null
    done
  fi
}

show_outputs() {
  "${cfn[@]}" describe-stacks --stack-name "$stack" --query 'Stacks[0].Outputs' --output table
}

propose() {
  "${cfn[@]}" create-change-set --stack-name "$stack" --change-set-name "$1" \
    --template-body "file://$master" --parameters "file://$parameters" \
    --capabilities CAPABILITY_NAMED_IAM CAPABILITY_AUTO_EXPAND > /dev/null
  "${cfn[@]}" wait change-set-create-complete --stack-name "$stack" --change-set-name "$1" || {
    "${cfn[@]}" describe-change-set --stack-name "$stack" --change-set-name "$1" \
      --query StatusReason --output text
    "${cfn[@]}" delete-change-set --stack-name "$stack" --change-set-name "$1"
    return 1
  }
  "${cfn[@]}" describe-change-set --stack-name "$stack" --change-set-name "$1" --output table \
    --query 'Changes[].ResourceChange.[Action,LogicalResourceId,ResourceType,Replacement]'
  "${cfn[@]}" describe-change-set --stack-name "$stack" --change-set-name "$1" --output text \
    --query 'Changes[?ResourceChange.ResourceType==`AWS::DynamoDB::Table`]'
}

update() {
  local name
  name=update-$(date +%Y%m%d-%H%M%S)
  propose "$name" || return 0
  "${cfn[@]}" execute-change-set --stack-name "$stack" --change-set-name "$name"
  "${cfn[@]}" wait stack-update-complete --stack-name "$stack"
  show_outputs
}

create() {
  "${cfn[@]}" create-stack --stack-name "$stack" --template-body "file://$master" \
    --parameters "file://$parameters" --capabilities CAPABILITY_NAMED_IAM CAPABILITY_AUTO_EXPAND
  "${cfn[@]}" wait stack-create-complete --stack-name "$stack"
  "${cfn[@]}" describe-stack-events --stack-name "$stack" --output table \
    --query 'StackEvents[].[Timestamp,LogicalResourceId,ResourceStatus]'
  show_outputs
}

case $step in
  upload) upload ;;
  deploy)
    upload
    if "${cfn[@]}" describe-stacks --stack-name "$stack" > /dev/null 2>&1; then
      update
    else
      create
    fi
    ;;
  preview)
    name=preview-$(date +%Y%m%d-%H%M%S)
    propose "$name" && "${cfn[@]}" delete-change-set --stack-name "$stack" --change-set-name "$name"
    ;;
  backup)
    stamp=$(date +%Y%m%d-%H%M%S)
    for table in $("${cfn[@]}" describe-stack-resources --stack-name "$stack" --output text \
      --query 'StackResources[?ResourceType==`AWS::DynamoDB::Table`].PhysicalResourceId'); do
      aws dynamodb create-backup --table-name "$table" --backup-name "backup-$stamp-$table" \
        --region "$region" > /dev/null
    done
    ;;
esac
