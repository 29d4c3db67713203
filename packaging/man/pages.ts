import type { Described } from '../completion/programs.ts'
import { manPage, type PageOptions } from './page.ts'

type Texts = Pick<PageOptions, 'section' | 'description' | 'files' | 'seeAlso'>

/** What the pages say beside what the programs say of themselves. */
const texts = {
  'mooring-agent': {
    section: 8,
    description: `The agent brings a virtual machine into an Istio mesh when it boots, keeps Istio's sidecar running, and takes the machine out of the mesh without a failed request when it stops.

As a service it is mooring-agent.service. A restart leaves the machine in the mesh; a stop, a shutdown and a reboot drain it first (mooring-drain.service). The sidecar is mooring-sidecar.service; the agent starts and stops it.

An image that is to be cloned must hold no identity: cloud-init clean sees to it, and so does /usr/lib/mooring-agent/forget-identity.`,
    files: [
      { path: '/etc/mooring/agent.yaml', text: 'The configuration, with every key explained.' },
      {
        path: '/var/lib/mooring',
        text: 'Key and identity of this machine, and the sidecar. Not for images.',
      },
      { path: '/var/log/mooring', text: 'Log of the sidecar where no systemd keeps it.' },
      { path: '/run/mooring/agent.sock', text: 'Where the running agent answers status, drain and leave.' },
    ],
    seeAlso: ['mooring(1)', 'mooring-controller(8)', 'systemctl(1)', 'cloud-init(1)'],
  },
  'mooring-controller': {
    section: 8,
    description: `The controller decides which virtual machines may join the mesh, gives them their identity and watches over them. In standalone mode it also starts and keeps istiod, Istio's control plane, which is not a part of this package: mesh.istiod.binary in the configuration says where it is.

As a service it is mooring-controller.service, which runs as the user mooring.`,
    files: [
      { path: '/etc/mooring/controller.yaml', text: 'The configuration, with every key explained.' },
      {
        path: '/var/lib/mooring-controller',
        text: 'Database, keys and objects of the mesh: all that a backup holds.',
      },
    ],
    seeAlso: ['mooring(1)', 'mooring-agent(8)', 'systemctl(1)'],
  },
  mooring: {
    section: 1,
    description: `The command line of operators. It speaks to a controller over HTTPS; mooring login remembers which one, how to recognise it, and who you are there.`,
    files: [{ path: '~/.config/mooring', text: 'What mooring login stored; readable by its owner alone.' }],
    seeAlso: ['mooring-controller(8)', 'mooring-agent(8)'],
  },
} as const satisfies Record<string, Texts>

/** Every page, by the name of its file. */
export function manPages(
  programs: Readonly<Record<keyof typeof texts, Described>>,
  about: { readonly version: string; readonly epoch: number },
): Readonly<Record<string, string>> {
  const names = Object.keys(texts) as (keyof typeof texts)[]
  return Object.fromEntries(
    names.map((name) => [
      `${name}.${texts[name].section}`,
      manPage(programs[name], { ...texts[name], ...about }),
    ]),
  )
}
