{{/* A value as the services read it from a variable: YAML's numbers arrive as floats, and 1000000 must not become 1e+06. */}}
{{- define "switchboard.text" -}}
{{- if kindIs "float64" . }}
{{- if eq . (floor .) }}{{ printf "%.0f" . }}{{ else }}{{ . | toString }}{{ end }}
{{- else }}
{{- . | toString }}
{{- end }}
{{- end }}

{{/* What the chart alone decides, as ports and paths must agree with the rest of it. values.schema.json lacks these keys. */}}
{{- define "switchboard.fixed" -}}
SWITCHBOARD_GRPC__LISTEN: {{ printf "0.0.0.0:%v" .service.grpc | quote }}
SWITCHBOARD_ADMIN__LISTEN: {{ printf "0.0.0.0:%v" .service.admin | quote }}
SWITCHBOARD_AUTH__JWKS: {{ .root.Values.auth.jwks.url | default "/etc/switchboard/jwks.json" | quote }}
SWITCHBOARD_AUTH__INTERNAL_TOKEN_FILE: /etc/switchboard/internal.token
# Migrations are the hook's: two replicas that start at once would both try.
SWITCHBOARD_DATABASE__MIGRATE_ON_START: "false"
{{- range $secret := list "database" "nats" }}
{{- if include "switchboard.passwordRef" (merge (dict "secret" $secret) $) }}
SWITCHBOARD_{{ upper $secret }}__PASSWORD_FILE: /etc/switchboard/{{ $secret }}.password
{{- end }}
{{- end }}
{{- if .root.Values.tls.existingSecret }}
SWITCHBOARD_GRPC__CERTIFICATE_FILE: /etc/switchboard/tls/tls.crt
SWITCHBOARD_GRPC__KEY_FILE: /etc/switchboard/tls/tls.key
SWITCHBOARD_GRPC__CA_FILE: /etc/switchboard/tls/ca.crt
{{- end }}
{{- $ctx := . }}
{{- range $peer := (include "switchboard.services" .root | fromYaml).services }}
{{- if has $peer.name $ctx.service.calls }}
SWITCHBOARD_PEERS__{{ $peer.name | replace "-" "_" | upper }}: {{ printf "%s://%s-%s:%v" (include "switchboard.scheme" $ctx.root) (include "switchboard.fullname" $ctx.root) $peer.name $peer.grpc | quote }}
{{- end }}
{{- end }}
{{- if .service.http }}
SWITCHBOARD_HTTP__LISTEN: {{ printf "0.0.0.0:%v" .service.http | quote }}
SWITCHBOARD_HTTP__PUBLIC_URL: {{ .values.publicUrl | trimSuffix "/" | quote }}
SWITCHBOARD_SEAL__KEY_FILE: /etc/switchboard/seal.key
SWITCHBOARD_FILES__FOLDER: /files
{{- end }}
{{- end }}

{{- define "switchboard.configMap" -}}
{{- $data := include "switchboard.fixed" . | fromYaml }}
{{- $config := mergeOverwrite (deepCopy .root.Values.config) (deepCopy (.values.config | default dict)) }}
{{- if .service.http }}
{{- /* Without it every visitor of a short link would come from the proxy's address, and count as one. */}}
{{- if or .root.Values.ingress.enabled .root.Values.httpRoute.enabled }}
{{- $config = mergeOverwrite (dict "http" (dict "client_address_header" "x-forwarded-for")) $config }}
{{- end }}
{{- end }}
{{- range $section, $keys := $config }}
{{- range $key, $value := $keys }}
{{- if not (kindIs "invalid" $value) }}
{{- $_ := set $data (printf "SWITCHBOARD_%s__%s" (upper $section) (upper $key)) (include "switchboard.text" $value) }}
{{- end }}
{{- end }}
{{- end }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "switchboard.serviceName" . }}
  labels:
    {{- include "switchboard.selector" . | nindent 4 }}
    {{- include "switchboard.labels" . | nindent 4 }}
data:
  {{- toYaml $data | nindent 2 }}
{{- end }}
