/** The path of the one method that is called (grpc/health/v1/health.proto, GRPC Health Checking Protocol). */
export const healthCheckPath = '/grpc.health.v1.Health/Check'

/** Values of HealthCheckResponse.ServingStatus. */
const servingStatuses = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const
export type ServingStatus = (typeof servingStatuses)[number]

const fieldOne = { string: 0x0a, varint: 0x08 } as const
const frameHead = 5

/** A HealthCheckRequest in its gRPC frame; `service` is the message's one field, and empty means the server itself. */
export function healthRequest(service: string): Buffer {
  const name = Buffer.from(service)
  const message =
    name.length === 0 ? Buffer.alloc(0) : Buffer.from([fieldOne.string, ...varint(name.length), ...name])
  const head = Buffer.alloc(frameHead)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

/**
 * What a HealthCheckResponse in its gRPC frame says; undefined at what is none. Fields that are not known are passed
 * over, as every reader of protobuf does.
 */
export function servingStatus(frame: Buffer): ServingStatus | undefined {
  if (frame.length < frameHead || frame[0] !== 0 || frame.readUInt32BE(1) !== frame.length - frameHead)
    return undefined
  let status = 0
  for (let at = frameHead; at < frame.length; ) {
    const key = readVarint(frame, at)
    const value = key && readVarint(frame, key.next)
    if (key === undefined || value === undefined) return undefined
    const wireType = key.value & 7
    if (key.value === fieldOne.varint) status = value.value
    if (wireType === 0) at = value.next
    else if (wireType === 2) at = value.next + value.value
    else return undefined
  }
  return servingStatuses[status] ?? 'UNKNOWN'
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)]
}

function readVarint(data: Buffer, at: number): { readonly value: number; readonly next: number } | undefined {
  let value = 0
  for (let i = 0; i < 5; i += 1) {
    const byte = data[at + i]
    if (byte === undefined) return undefined
    value |= (byte & 0x7f) << (7 * i)
    if (byte < 0x80) return { value: value >>> 0, next: at + i + 1 }
  }
  return undefined
}
