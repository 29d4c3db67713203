import t from 'tap'
import { createShelf, type Entry } from '../../../../../controller/store/kubernetes/shelf.ts'

const entry = (key: string, version: string, over: Partial<Entry<object>> = {}): Entry<object> => ({
  key,
  value: { version },
  uid: `uid-${key}`,
  version,
  generation: 1,
  created: '2027-01-15T08:00:00Z',
  namespace: 'shop',
  name: key,
  kept: {},
  ...over,
})

function open() {
  const told: string[] = []
  return { told, shelf: createShelf<object>((key) => told.push(key)) }
}

t.test('the newer version stands, in whatever order they come, also past what a double holds', async (t) => {
  const { shelf, told } = open()
  shelf.put(entry('a', '99'))
  shelf.put(entry('a', '100'))
  shelf.put(entry('a', '99'))
  shelf.put(entry('a', '100'))
  t.equal(shelf.get('a')?.version, '100')
  t.same(told, ['a', 'a'])
  shelf.put(entry('a', '9007199254740993'))
  shelf.put(entry('a', '9007199254740992'))
  t.equal(shelf.get('a')?.version, '9007199254740993')
})

t.test('what says the same is the same, and is not told', async (t) => {
  const { shelf, told } = open()
  shelf.put(entry('a', '1', { value: { x: [1] } }))
  const before = shelf.get('a')?.value
  shelf.put(entry('a', '2', { value: { x: [1] } }))
  t.equal(shelf.get('a')?.value, before)
  t.equal(shelf.get('a')?.version, '2')
  t.same(told, ['a'])
})

t.test('late news of what this controller removed is not believed; its next life is', async (t) => {
  const { shelf, told } = open()
  shelf.put(entry('a', '1'))
  shelf.removed('uid-a')
  shelf.put(entry('a', '2'))
  t.equal(shelf.get('a'), undefined)
  shelf.put(entry('a', '4', { uid: 'second' }))
  shelf.gone('uid-a')
  t.equal(shelf.get('a')?.uid, 'second')
  t.same(told, ['a', 'a', 'a'])
})

t.test('a list removes what is older and not in it, and nothing that was made since', async (t) => {
  const { shelf } = open()
  shelf.put(entry('old', '5'))
  shelf.put(entry('kept', '6'))
  shelf.put(entry('new', '12'))
  shelf.replaced([entry('kept', '6'), entry('more', '9')], '10')
  t.same([...shelf.list()].map(({ key }) => key).toSorted(), ['kept', 'more', 'new'])
})

t.test('of several with one key the oldest counts, and the next one after it', async (t) => {
  const { shelf } = open()
  shelf.put(entry('a', '7', { uid: 'younger', created: '2027-01-15T09:00:00Z' }))
  shelf.put(entry('a', '8', { uid: 'older' }))
  t.equal(shelf.get('a')?.uid, 'older')
  t.equal([...shelf.every()].length, 2)
  shelf.gone('older')
  t.equal(shelf.get('a')?.uid, 'younger')
})
