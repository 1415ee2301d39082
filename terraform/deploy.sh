#!/usr/bin/env bash
# Both phases: everything but the event subscriptions, the package, then the event subscriptions.
#
#   deploy.sh PACKAGE [ADDRESS] [-- ARGUMENTS OF terraform apply]
#
# Run it in your own configuration. ADDRESS is how the module is called there: `module.keyrelay` unless you say otherwise,
# and it is expected to pass its outputs `function_app_name` and `resource_group_name` on.
# Needs terraform and the Azure CLI, both signed in. It can be run again: it goes on where it was.
set -euo pipefail

usage() {
    sed -n '2,8p' "$0" | cut -c3- >&2
    exit 2
}

[ $# -ge 1 ] || usage
package=$1
shift
[ -f "$package" ] || { echo "there is no package $package: make it with \`cargo xtask package\` or \`keyrelay package\`" >&2; exit 1; }
address=module.keyrelay
if [ $# -gt 0 ] && [ "$1" != -- ]; then
    address=$1
    shift
fi
[ "${1:-}" != -- ] || shift

echo "1 of 3: everything that the package needs"
terraform apply "$@" -target="$address.azurerm_function_app_flex_consumption.this"
app=$(terraform output -raw function_app_name)
group=$(terraform output -raw resource_group_name)

echo "2 of 3: the package"
az functionapp deployment source config-zip --src "$package" --name "$app" --resource-group "$group" --output none

# Azure takes a moment to know the functions of a new package, and refuses a subscription until then.
tries=0
until az functionapp function show --name "$app" --resource-group "$group" --function-name SecretEvent --output none 2>/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 30 ] || { echo "Azure does not list the function SecretEvent after five minutes: see the log of $app, then run this again" >&2; exit 1; }
    sleep 10
done

echo "3 of 3: the event subscriptions, and everything else"
terraform apply "$@"
