#!/usr/bin/env bash
# Makes everything: up.sh PACKAGE SUBSCRIPTION NAME
# Needs terraform, the Azure CLI (signed in), zip, and keyrelay in the PATH.
set -euo pipefail
cd "$(dirname "$0")"

[ $# -eq 3 ] || { sed -n '2,3p' "$0" | cut -c3- >&2; exit 2; }
package=$(realpath "$1")
export TF_VAR_subscription_id=$2 TF_VAR_name=$3

terraform init
../../deploy.sh "$package"

echo "the app that reads the secret"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
(cd timer-app && zip -qr "$work/timer.zip" .)
az functionapp deployment source config-zip --src "$work/timer.zip" \
    --name "$(terraform output -raw timer_app_name)" --resource-group "$(terraform output -raw resource_group_name)"

./rotate.sh first
echo "everything is there: ./rotate.sh second rotates"
echo "to remove it: TF_VAR_subscription_id=$TF_VAR_subscription_id TF_VAR_name=$TF_VAR_name terraform destroy"
