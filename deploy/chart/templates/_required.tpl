{{/* Refuses what could not work, naming the value: all that is missing at once, so that one run tells everything. */}}
{{- define "switchboard.required" -}}
{{- $v := .Values }}
{{- $missing := list }}
{{- if not $v.image.repository }}
{{- $missing = append $missing "image.repository: where the images lie, as registry.example.com/switchboard" }}
{{- end }}
{{- range $secret, $what := dict "database" "addresses of the databases" "nats" "addresses of the broker" "internalToken" "tokens of calls between services" }}
{{- if not (index $v.secrets $secret).existingSecret }}
{{- $without := list }}
{{- range $service := (include "switchboard.services" $ | fromYaml).services }}
{{- if not (dig "secrets" $secret "existingSecret" "" (index $v $service.key)) }}
{{- $without = append $without $service.key }}
{{- end }}
{{- end }}
{{- if eq (len $without) 4 }}
{{- $missing = append $missing (printf "secrets.%s.existingSecret: the Secret with the %s" $secret $what) }}
{{- else }}
{{- range $without }}
{{- $missing = append $missing (printf "%s.secrets.%s.existingSecret, or secrets.%s.existingSecret for all" . $secret $secret) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if not (or $v.auth.jwks.url $v.auth.jwks.existingConfigMap) }}
{{- $missing = append $missing "auth.jwks.url or auth.jwks.existingConfigMap: the keys that tokens are checked with" }}
{{- end }}
{{- $gateway := $v.channelGateway }}
{{- if not $gateway.publicUrl }}
{{- $missing = append $missing "channelGateway.publicUrl: how providers reach the webhooks, as https://hooks.example.com" }}
{{- end }}
{{- if not $gateway.secrets.seal.existingSecret }}
{{- $missing = append $missing "channelGateway.secrets.seal.existingSecret: the Secret with the key that channels' credentials are sealed with" }}
{{- end }}
{{- $s3 := eq (dig "files" "store" "local" $gateway.config) "s3" }}
{{- $folder := or $gateway.files.existingClaim $gateway.files.create }}
{{- if not (or $s3 $folder) }}
{{- $missing = append $missing "channelGateway.config.files.store=s3, or channelGateway.files.existingClaim, or channelGateway.files.create=true: where files are kept" }}
{{- end }}
{{- if and $s3 (not (dig "files" "bucket" "" $gateway.config)) }}
{{- $missing = append $missing "channelGateway.config.files.bucket: the bucket for channelGateway.config.files.store=s3" }}
{{- end }}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) }}
{{- $missing = append $missing "httpRoute.parentRefs: the Gateway that takes the route" }}
{{- end }}
{{- if and $v.rehearsal.enabled (not $v.rehearsal.token.existingSecret) }}
{{- $missing = append $missing "rehearsal.token.existingSecret: the Secret with the token of an account by which `helm test` plays a rehearsal" }}
{{- end }}
{{- $policy := $v.networkPolicy }}
{{- if $policy.enabled }}
{{- if and (or $v.ingress.enabled $v.httpRoute.enabled) (not $policy.webhooks.from) }}
{{- $missing = append $missing "networkPolicy.webhooks.from: where the proxy before the gateway runs, which nothing may reach otherwise" }}
{{- end }}
{{- if and (or $v.monitoring.serviceMonitor.enabled $v.monitoring.podMonitor.enabled) (not $policy.metrics.from) }}
{{- $missing = append $missing "networkPolicy.metrics.from: where Prometheus runs, which may not reach the metrics otherwise" }}
{{- end }}
{{- if and $v.auth.jwks.url (not $policy.jwks.to) }}
{{- $missing = append $missing "networkPolicy.jwks.to: where auth.jwks.url leads, which no service may reach otherwise" }}
{{- end }}
{{- $telemetry := false }}
{{- range $service := (include "switchboard.services" $ | fromYaml).services }}
{{- if or (dig "telemetry" "otlp_endpoint" "" $v.config) (dig "telemetry" "otlp_endpoint" "" (index $v $service.key).config) }}
{{- $telemetry = true }}
{{- end }}
{{- end }}
{{- if and $telemetry (not $policy.telemetry.to) }}
{{- $missing = append $missing "networkPolicy.telemetry.to: where config.telemetry.otlp_endpoint leads, which no service may reach otherwise" }}
{{- end }}
{{- end }}
{{- if $missing }}
{{- fail (printf "\n\nThese values are missing:\n  - %s\n\nSee deploy/README.md.\n" (join "\n  - " $missing)) }}
{{- end }}
{{- if and $v.monitoring.serviceMonitor.enabled $v.monitoring.podMonitor.enabled }}
{{- fail "monitoring.serviceMonitor.enabled and monitoring.podMonitor.enabled: one of them, or each pod is scraped twice" }}
{{- end }}
{{- if and $gateway.files.existingClaim $gateway.files.create }}
{{- fail "channelGateway.files.existingClaim and channelGateway.files.create: one of them" }}
{{- end }}
{{- $pods := mergeOverwrite (deepCopy $v.defaults) (deepCopy $gateway) }}
{{- if and $gateway.files.create (eq $gateway.files.accessMode "ReadWriteOnce") (or $pods.autoscaling.enabled (gt (int $pods.replicas) 1)) }}
{{- fail "channelGateway.files.accessMode: more than one replica of the gateway need ReadWriteMany" }}
{{- end }}
{{- $path := (urlParse $gateway.publicUrl).path }}
{{- if not (has $path (list "" "/")) }}
{{- fail (printf "channelGateway.publicUrl: the gateway serves at the root of its host: leave out %q" $path) }}
{{- end }}
{{- range $service := (include "switchboard.services" $ | fromYaml).services }}
{{- $values := mergeOverwrite (deepCopy $v.defaults) (deepCopy (index $v $service.key)) }}
{{- /* After SIGTERM a service takes 25 s at most: 20 to finish, 5 for its last steps. */}}
{{- if lt (int $values.terminationGracePeriodSeconds) (add (int $values.preStopSleepSeconds) 25 | int) }}
{{- fail (printf "%s.terminationGracePeriodSeconds (or that of defaults): must be preStopSleepSeconds + 25 at least" $service.key) }}
{{- end }}
{{- if gt (int $values.autoscaling.minReplicas) (int $values.autoscaling.maxReplicas) }}
{{- fail (printf "%s.autoscaling.minReplicas (or that of defaults): is above maxReplicas" $service.key) }}
{{- end }}
{{- end }}
{{- end }}
