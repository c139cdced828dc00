// One MQTT.js client that does what the test says: a JSON object per line comes in on standard input, what happens goes out as
// one on standard output. Run in a folder that has mqtt in its node_modules.
'use strict';
const path = require('path');
const readline = require('readline');
const mqtt = require(path.join(process.cwd(), 'node_modules', 'mqtt'));

const tell = (event, more) => process.stdout.write(JSON.stringify({event, ...more}) + '\n');
const text = properties => JSON.parse(JSON.stringify(properties || {}, (_, value) =>
  value && value.type === 'Buffer' ? Buffer.from(value.data).toString() : value));

let client;
// MQTT.js sends again without the DUP flag: what is sent again is told by the packet ids that have no answer yet.
const sent = {again: 0, aliased: 0};
const open = new Set();

function connect({url, options}) {
  client = mqtt.connect(url, options);
  client.on('connect', packet => tell('connect', {present: packet.sessionPresent, properties: text(packet.properties)}));
  client.on('close', () => tell('close', {}));
  client.on('error', error => tell('error', {code: error.code, text: error.message}));
  client.on('disconnect', packet => tell('disconnect', {reason: packet.reasonCode, properties: text(packet.properties)}));
  client.on('packetsend', packet => {
    if (packet.cmd !== 'publish') return;
    if (packet.topic.length === 0) ++sent.aliased;
    if (packet.qos === 0) return;
    if (open.has(packet.messageId)) ++sent.again;
    open.add(packet.messageId);
  });
  client.on('packetreceive', packet => {
    if (packet.cmd === 'puback' || packet.cmd === 'pubrec') open.delete(packet.messageId);
  });
  client.on('message', (topic, body, packet) => tell('message', {topic, body: body.toString(), qos: packet.qos,
    retain: packet.retain, properties: text(packet.properties)}));
}

function publish({tag, topic, bodies, options}) {
  let left = bodies.length, acknowledged = 0;
  const failed = [];
  for (const body of bodies) {
    client.publish(topic, body, options, error => {
      if (error) failed.push({code: error.code, text: error.message}); else ++acknowledged;
      if (--left === 0) tell('published', {tag, acknowledged, failed, ...sent});
    });
  }
}

function subscribe({filter, options}) {
  client.subscribe(filter, options, (error, granted) => tell('subscribed', {
    filter, failed: error ? error.message : '', granted: (granted || []).map(g => g.qos)}));
}

const what = {
  connect, publish, subscribe,
  lose: () => client.stream.destroy(),            // the network goes; it comes back by itself
  end: () => client.end(false, {}, () => { tell('end', {}); process.exit(0); }),
};
readline.createInterface({input: process.stdin}).on('line', line => {
  const command = JSON.parse(line);
  what[command.do](command);
});
