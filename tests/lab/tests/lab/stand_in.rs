//! Stand-ins for the functions, where a test is about what is around them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use dayfly_lab::functions::Function;

/// A Lambda runtime in shell: answers each event with the event itself, and an event with `ec2` in it
/// by sending that to EC2, signed as the function it runs as.
const BOOTSTRAP: &str = r#"#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while :; do
  head=$(mktemp)
  event=$(curl -sS -D "$head" "$api/next") || exit 1
  id=$(tr -d '\r' <"$head" | awk 'tolower($1) == "lambda-runtime-aws-request-id:" {print $2}')
  rm -f "$head"
  echo "stand-in got $event"
  form=$(sed -n 's/.*"ec2": *"\([^"]*\)".*/\1/p' <<<"$event")
  if [ -n "$form" ]; then
    answer=$(curl -sS --aws-sigv4 "aws:amz:$AWS_REGION:ec2" \
      --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
      -H "x-amz-security-token: $AWS_SESSION_TOKEN" \
      --data "$form" "$AWS_ENDPOINT_URL_EC2/" 2>&1)
    event=$(printf '{"status":%d,"answer":"%s"}' "$?" "$(printf %s "$answer" | base64 -w0)")
  fi
  printf '%s' "$event" | curl -sS -o /dev/null -X POST --data-binary @- "$api/$id/response"
done
"#;

/// Puts a stand-in for every function into `folder`.
pub fn build(folder: &Path) {
    for function in Function::ALL {
        let path = folder.join(function.binary());
        fs::write(&path, BOOTSTRAP).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}
