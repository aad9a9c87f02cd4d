"""Talk to CloudFormation: stacks, change sets, events, drift, and what each state allows."""
