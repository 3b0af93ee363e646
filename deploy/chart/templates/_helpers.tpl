{{/*
The four services: ports, whom each calls by gRPC (the section `peers` of its configuration), and the consumers whose
lag tells that it needs replicas.
*/}}
{{- define "switchboard.services" -}}
services:
  - name: channel-gateway
    key: channelGateway
    grpc: 7101
    admin: 7111
    http: 7121
    calls: [conversation, assignment]
    consumers: [gateway-inbound, channel-gateway-events]
  - name: conversation
    key: conversation
    grpc: 7102
    admin: 7112
    calls: [channel-gateway, crm-cards, assignment]
    consumers: [conversation-inbound, conversation-events]
  - name: crm-cards
    key: crmCards
    grpc: 7103
    admin: 7113
    calls: [conversation, assignment]
    consumers: [crm-cards-events]
  - name: assignment
    key: assignment
    grpc: 7104
    admin: 7114
    calls: [conversation]
    consumers: [assignment-events]
{{- end }}

{{- define "switchboard.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 39 | trimSuffix "-" }}
{{- end }}

{{/* 39 characters: the longest name made of it is <fullname>-channel-gateway-migrate, and 63 are allowed. */}}
{{- define "switchboard.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 39 | trimSuffix "-" }}
{{- else if contains (include "switchboard.name" .) .Release.Name }}
{{- .Release.Name | trunc 39 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "switchboard.name" .) | trunc 39 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Below, the context is {root, service, values, kind}: values are `defaults` with the service's own above them. */}}

{{- define "switchboard.serviceName" -}}
{{ include "switchboard.fullname" .root }}-{{ .service.name }}
{{- end }}

{{- define "switchboard.releaseSelector" -}}
app.kubernetes.io/name: {{ include "switchboard.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "switchboard.selector" -}}
{{ include "switchboard.releaseSelector" . }}
app.kubernetes.io/component: {{ .service.name }}
{{- end }}

{{- define "switchboard.migrateSelector" -}}
{{ include "switchboard.releaseSelector" . }}
app.kubernetes.io/component: {{ .service.name }}-migrate
{{- end }}

{{/* What every object carries beside what selects it. */}}
{{- define "switchboard.labels" -}}
app.kubernetes.io/part-of: switchboard
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "switchboard.image" -}}
{{- $image := .values.image | default dict }}
{{- $name := printf "%s/%s" (.root.Values.image.repository | trimSuffix "/") .service.name }}
{{- if $image.digest }}
{{- printf "%s@%s" $name $image.digest }}
{{- else }}
{{- printf "%s:%s" $name ($image.tag | default .root.Values.image.tag | default .root.Chart.AppVersion) }}
{{- end }}
{{- end }}

{{- define "switchboard.serviceAccountName" -}}
{{- if .values.serviceAccount.create }}
{{- include "switchboard.serviceName" . }}
{{- else }}
{{- .values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/* A reference to what one service needs of a Secret that is there already: {secret: database} and so on. */}}
{{- define "switchboard.secretKeyRef" -}}
{{- $own := (index (.values.secrets | default dict) .secret) | default dict }}
{{- $common := index .root.Values.secrets .secret }}
name: {{ $own.existingSecret | default $common.existingSecret }}
key: {{ $own.key | default .service.name }}
{{- end }}

{{/* A reference to a password alone, which is mounted; nothing where the address holds it: {secret: database} and so on. */}}
{{- define "switchboard.passwordRef" -}}
{{- $own := (index (.values.secrets | default dict) .secret) | default dict }}
{{- $common := index .root.Values.secrets .secret }}
{{- with $own.passwordSecret | default $common.passwordSecret }}
name: {{ . }}
key: {{ $own.passwordKey | default $.service.name }}
{{- end }}
{{- end }}

{{/* How services are called. */}}
{{- define "switchboard.scheme" -}}
{{- if .Values.tls.existingSecret }}https{{ else }}http{{ end }}
{{- end }}

{{- define "switchboard.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
# A volume of many files is not walked through at every start.
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "switchboard.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/*
One object: its template's YAML, and above it what `merge.<kind>` of the chart and of the service say. A template that
writes nothing makes no object.
*/}}
{{- define "switchboard.object" -}}
{{- $text := include .template . }}
{{- if trim $text }}
{{- $object := fromYaml $text }}
{{- if hasKey $object "Error" }}
{{- fail (printf "%s: %s" .template $object.Error) }}
{{- end }}
{{- $object = mergeOverwrite $object (deepCopy (index .root.Values.merge .kind | default dict)) }}
{{- with .values }}
{{- $object = mergeOverwrite $object (deepCopy (index (.merge | default dict) $.kind | default dict)) }}
{{- end }}
---
{{ toYaml $object }}
{{ end }}
{{- end }}

{{/* The same object for each service: {root, kind, template}. */}}
{{- define "switchboard.each" -}}
{{- $each := . }}
{{- range $service := (include "switchboard.services" .root | fromYaml).services }}
{{- $values := mergeOverwrite (deepCopy $each.root.Values.defaults) (deepCopy (index $each.root.Values $service.key)) }}
{{- include "switchboard.object" (merge (dict "service" $service "values" $values) $each) }}
{{- end }}
{{- end }}
