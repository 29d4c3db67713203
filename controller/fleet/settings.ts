/** Durations of the fleet; pools have their own for their VMs. */
export interface FleetSettings {
  /** How long agents have to come back after a start of the controller, beyond `lostAfterSeconds`. @defaultValue 15 s */
  readonly reconnectWindowMs?: number
  /** How often everything is compared with what it should be. @defaultValue 60 s */
  readonly resyncMs?: number
  /** Life of a workload token. @defaultValue 1 h */
  readonly tokenTtlSeconds?: number
  /** Longest wait for istiod before a drain goes on. @defaultValue 2 s */
  readonly takenWithinMs?: number
  /** How often it is looked whether this process runs at all; see `Listening`. @defaultValue 500 ms */
  readonly listeningPeriodMs?: number
  /** How many VMs are worked on at a time. @defaultValue 32 */
  readonly parallel?: number
}
