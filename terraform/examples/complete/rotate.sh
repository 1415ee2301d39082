#!/usr/bin/env bash
# Rotates and watches: rotate.sh first|second
# Sets the secret to the other Application Insights, and shows what keyrelay does until it is proven.
set -euo pipefail
cd "$(dirname "$0")"

case "${1:-}" in first | second) ;; *) sed -n '2,3p' "$0" | cut -c3- >&2; exit 2 ;; esac
group=$(terraform output -raw resource_group_name)
vault=$(terraform output -raw vault_name)
store=$(terraform output -raw store_url)
sink="${group%-keyrelay}-$1"

value=$(az resource show --resource-group "$group" --name "$sink" --resource-type Microsoft.Insights/components \
    --query properties.ConnectionString --output tsv)
began=$(date -u +%Y-%m-%dT%H:%M:%S)
az keyvault secret set --vault-name "$vault" --name sink --value "$value" --query id --output tsv

echo "what keyrelay does (Ctrl-C ends watching, not the rotation)"
timeout 120 keyrelay runs follow --store "$store" --since "$began" || [ $? -eq 124 ]
