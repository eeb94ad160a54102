{{- define "newsprint.name" -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "newsprint.selector" -}}
app.kubernetes.io/name: newsprint
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "newsprint.labels" -}}
{{ include "newsprint.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "newsprint.claim" -}}
accessModes: [ReadWriteOnce]
{{- with .storageClassName }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests:
    storage: {{ .size }}
{{- end }}
