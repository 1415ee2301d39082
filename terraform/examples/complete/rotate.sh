#!/usr/bin/env bash
# Rotates and watches: rotate.sh first|second
# Sets the secret to that Application Insights, and shows what keyrelay does until it is verified.
set -euo pipefail
cd "$(dirname "$0")"

case "${1:-}" in first | second) ;; *) sed -n '2,3p' "$0" | cut -c3- >&2; exit 2 ;; esac
command -v keyrelay >/dev/null || { echo "keyrelay is not in the PATH: \`cargo build --package keyrelay\` makes it in target/debug" >&2; exit 1; }
group=$(terraform output -raw resource_group_name)
vault=$(terraform output -raw vault_name)
store=$(terraform output -raw store_url)
app=$(terraform output -raw timer_app_name)
sink="${group%-keyrelay}-$1"

# Starts first, because it shows runs from then on. It ends when its reader does.
exec 3< <(exec keyrelay runs follow --store "$store" --secret sink)
follow=${!:-}
trap 'kill "$follow" 2>/dev/null || true' EXIT
sleep 3

value=$(az resource show --resource-group "$group" --name "$sink" --resource-type Microsoft.Insights/components \
    --query properties.ConnectionString --output tsv)
# A new role assignment takes a few minutes to propagate.
tries=0
until az keyvault secret set --vault-name "$vault" --name sink --value "$value" --query id --output tsv; do
    tries=$((tries + 1))
    [ "$tries" -lt 20 ] || { echo "the secret cannot be set: see above" >&2; exit 1; }
    echo "trying again in 15 s" >&2
    sleep 15
done

echo "what keyrelay does (Ctrl-C ends watching, not the rotation)"
while IFS= read -r -t 600 line <&3; do
    printf '%s\n' "$line"
    case "$line" in *"  verified  "*) echo "$app has the new version"; exit 0 ;; esac
done
echo "not verified yet: \`keyrelay runs --store $store\` lists what happened, \`keyrelay doctor\` says what is missing" >&2
exit 1
