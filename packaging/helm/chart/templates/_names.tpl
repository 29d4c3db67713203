{{- define "mooring.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "mooring.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := include "mooring.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "mooring.selector" -}}
app.kubernetes.io/name: {{ include "mooring.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "mooring.labels" -}}
{{ include "mooring.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mooring
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "mooring.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "mooring.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "mooring.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- /* Names of the Service inside the cluster. */}}
{{- define "mooring.serviceNames" -}}
{{- $host := printf "%s.%s" (include "mooring.fullname" .) .Release.Namespace }}
{{- list $host (printf "%s.svc" $host) | toJson }}
{{- end }}

{{- /* The Secret with the server certificate; empty where the controller makes it. */}}
{{- define "mooring.serverSecret" -}}
{{- with .Values.certificate }}
{{- if .certManager.enabled }}{{ include "mooring.fullname" $ }}-server{{ else }}{{ .existingSecret }}{{ end }}
{{- end }}
{{- end }}

{{- /* The controller's configuration: what the chart knows, and over it what the values say of it. */}}
{{- define "mooring.config" -}}
{{- $kubernetes := dict
  "namespace" .Release.Namespace
  "release" .Release.Name
  "namespaces" .Values.mesh.namespaces
  "istioNamespace" .Values.mesh.istioNamespace
  "revision" .Values.mesh.revision
  "istiodAddress" .Values.mesh.istiodAddress }}
{{- $made := dict
  "advertise" (concat .Values.advertise (include "mooring.serviceNames" . | fromJsonArray))
  "mesh" (dict "mode" "kubernetes" "kubernetes" $kubernetes) }}
{{- if include "mooring.serverSecret" . }}
{{- $_ := set $made "certificates" (dict "serverFolder" "/etc/mooring/server") }}
{{- end }}
{{- mergeOverwrite $made .Values.config | toYaml }}
{{- end }}
