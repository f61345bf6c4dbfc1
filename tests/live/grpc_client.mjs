// All four kinds of call from Node: node grpc_client.mjs MODULES ADDRESS [CA NAME]. Prints one line of JSON.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const [modules, address, ca, name] = process.argv.slice(2)
const require = createRequire(join(modules, 'index.js'))
const grpc = require('@grpc/grpc-js')
const loader = require('@grpc/proto-loader')
const proto = new URL('./grpc/probe.proto', import.meta.url).pathname
const { Probe } = grpc.loadPackageDefinition(loader.loadSync(proto, { longs: Number })).edgegw.live.v1

const credentials = ca ? grpc.credentials.createSsl(readFileSync(ca)) : grpc.credentials.createInsecure()
const options = { 'grpc.max_receive_message_length': -1 }
if (name) Object.assign(options, { 'grpc.ssl_target_name_override': name, 'grpc.default_authority': name })
const client = new Probe(address, credentials, options)
const deadline = () => ({ deadline: Date.now() + 20000 })

const unary = () => new Promise((resolve) => {
  const metadata = new grpc.Metadata()
  metadata.set('x-echo', 'seen')
  metadata.set('x-echo-bin', Buffer.from([0, 255, 10]))
  const found = {}
  const call = client.Unary({ text: 'grüße', number: 7 }, metadata, deadline(), (error, answer) => {
    Object.assign(found, error ? { error: String(error) } : { text: answer.text, number: answer.number })
  })
  call.on('metadata', (initial) => { found.initial = [initial.get('x-echo'), initial.get('x-echo-bin').map((raw) => [...raw])] })
  call.on('status', (status) => resolve({ ...found, code: status.code, trailing: status.metadata.get('x-echo-end') }))
})

const collect = () => new Promise((resolve) => {
  const call = client.Collect(deadline(), (error, answer) => resolve(error ? { error: String(error) } : answer))
  for (let number = 0; number < 100; number++) call.write({ body: Buffer.alloc(1000, number) })
  call.end()
})

const produce = () => new Promise((resolve) => {
  const digest = createHash('sha256')
  let messages = 0
  const call = client.Produce({ size: 1000000, piece: 10000 }, deadline())
  call.on('data', (message) => { messages++; digest.update(message.body) })
  call.on('error', (error) => resolve({ error: String(error) }))
  call.on('end', () => resolve({ messages, sha256: digest.digest('hex') }))
})

const chat = () => new Promise((resolve) => {
  const said = []
  const call = client.Chat(deadline())
  call.on('data', (message) => {
    said.push(message.number)
    if (message.number < 10) call.write({ number: message.number + 1 })
    else call.end()
  })
  call.on('error', (error) => resolve({ error: String(error) }))
  call.on('end', () => resolve({ said }))
  call.write({ number: 1 })
})

const fail = () => new Promise((resolve) => {
  client.Fail({ id: 'plain', code: 9 }, deadline(), (error) => resolve({ code: error.code, details: error.details }))
})

const late = () => new Promise((resolve) => {
  client.Hang({ id: 'node-late', seconds: 30 }, { deadline: Date.now() + 300 }, (error) => resolve({ code: error.code }))
})

const cancel = () => new Promise((resolve) => {
  const call = client.Hang({ id: 'node-cancel', seconds: 30 }, deadline(), (error) => resolve({ code: error.code }))
  setTimeout(() => call.cancel(), 300)
})

const result = {}
for (const [key, step] of Object.entries({ unary, collect, produce, chat, fail, late, cancel })) result[key] = await step()
console.log(JSON.stringify(result))
client.close()
