import type { Permission } from '../../controller/kubernetes/permission.ts'
import { controllerPermissions } from '../../controller/kubernetes/permissions.ts'
import { type OperatorRole, operatorRoles } from './operator-roles.ts'

const istioNamespace = '{{ $istio }}'
/** Stands for every revision of istiod, until the chart knows them. */
const revision = 'REVISION'

const comment =
  "{{- /* Written by packaging/rbac/write.ts from the controller's tables of permissions; change those. */}}"

const head = `{{- if .Values.rbac.create }}
{{- $name := include "mooring.fullname" . }}
{{- $clusterName := printf "%s:%s" .Release.Namespace $name }}
{{- $labels := include "mooring.labels" . }}
{{- $istio := .Values.mesh.istioNamespace }}
{{- $root := .Values.mesh.rootNamespace | default $istio }}
{{- $suffixes := list }}
{{- range concat (list .Values.mesh.revision) (.Values.mesh.revisions | default list) | uniq }}
{{- $suffixes = append $suffixes (ternary "" (printf "-%s" .) (or (eq . "") (eq . "default"))) }}
{{- end }}
{{- $subject := dict "kind" "ServiceAccount" "name" (include "mooring.serviceAccount" .) "namespace" .Release.Namespace }}`

const part = (where: string, namespace: string) =>
  `(dict "part" "${where}" "namespace" ${namespace} "rules" $${where}Rules)`

const foot = `{{- range $parts }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name }}-{{ .part }}
  namespace: {{ .namespace }}
  labels: {{- $labels | nindent 4 }}
rules: {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $name }}-{{ .part }}
  namespace: {{ .namespace }}
  labels: {{- $labels | nindent 4 }}
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ $name }}-{{ .part }} }
subjects: {{- list $subject | toYaml | nindent 2 }}
{{- end }}`

const clusterWide = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ $clusterName }}
  labels: {{- $labels | nindent 4 }}
rules:
  {{- $clusterRules | nindent 2 }}
  {{- if not .Values.mesh.namespaces }}
  {{- $poolsRules | nindent 2 }}
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $clusterName }}
  labels: {{- $labels | nindent 4 }}
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ $clusterName | quote }} }
subjects: {{- list $subject | toYaml | nindent 2 }}`

/** The chart's roles and bindings, each rule with its reason: those of the controller, and those for its operators. */
export function renderTemplate(): string {
  const all = controllerPermissions({ istioNamespace, revisions: [revision] })
  const places = ['pools', 'own', 'istio', 'root', 'cluster'] as const
  return [
    comment,
    ...places.flatMap((where) => [
      `{{- define "mooring.rules.${where}" }}`,
      ...all.filter((one) => one.where === where).map(ruleText),
      '{{- end }}',
    ]),
    head,
    ...places.map(rulesVariable),
    clusterWide,
    `{{- $parts := list ${part('own', '.Release.Namespace')} ${part('istio', '$istio')} ${part('root', '$root')} }}`,
    '{{- range .Values.mesh.namespaces }}',
    `{{- $parts = append $parts ${part('pools', '.')} }}`,
    '{{- end }}',
    foot,
    ...operatorRoles.map(operatorRoleText),
    '{{- end }}',
    '',
  ].join('\n')
}

function rulesVariable(where: string): string {
  return `{{- $${where}Rules := include "mooring.rules.${where}" (dict "istio" $istio "suffixes" $suffixes) | trim }}`
}

function ruleText({ apiGroup, resource, verbs, names, why }: Permission): string {
  return [
    `# ${why}`,
    `- apiGroups: [${apiGroup === '' ? "''" : apiGroup}]`,
    `  resources: [${resource}]`,
    ...(names === undefined ? [] : ['  resourceNames:', ...names.map(nameText)]),
    `  verbs: [${verbs.join(', ')}]`,
  ].join('\n')
}

/** A name with the revision in it is one for each revision. */
function nameText(name: string): string {
  if (name === istioNamespace) return '    - {{ .istio }}'
  if (!name.includes(revision)) return `    - ${name}`
  const one = name.replace(`-${revision}`, '{{ . }}')
  return `    {{- range .suffixes }}\n    - ${one}\n    {{- end }}`
}

function operatorRoleText({ suffix, into, why, rules }: OperatorRole): string {
  return [
    '---',
    `# ${why}`,
    'apiVersion: rbac.authorization.k8s.io/v1',
    'kind: ClusterRole',
    'metadata:',
    `  name: {{ $clusterName }}-${suffix}`,
    '  labels:',
    '    {{- $labels | nindent 4 }}',
    ...(into === undefined ? [] : [`    rbac.authorization.k8s.io/aggregate-to-${into}: "true"`]),
    'rules:',
    ...rules.map((rule) =>
      'nonResourceURLs' in rule
        ? `  - { nonResourceURLs: [${rule.nonResourceURLs.join(', ')}], verbs: [${rule.verbs.join(', ')}] }`
        : `  - { apiGroups: [${rule.apiGroups.join(', ')}], resources: [${rule.resources.join(', ')}], verbs: [${rule.verbs.join(', ')}] }`,
    ),
  ].join('\n')
}
