// A Sparkplug edge node (npm: sparkplug-client), told what to do as in device.js.
'use strict';
const path = require('path');
const readline = require('readline');
const sparkplug = require(path.join(process.cwd(), 'node_modules', 'sparkplug-client'));

const tell = (event, more) => process.stdout.write(JSON.stringify({event, ...more}) + '\n');
const metrics = value => ({timestamp: Date.now(), metrics: [{name: 'temperature', type: 'double', value}]});
let node;

const what = {
  connect: ({options}) => {
    node = sparkplug.newClient(options);
    node.on('birth', () => { node.publishNodeBirth(metrics(1)); node.publishDeviceBirth('probe', metrics(2)); tell('birth', {}); });
    for (const event of ['connect', 'reconnect', 'offline', 'close']) node.on(event, () => tell(event, {}));
    node.on('error', error => tell('error', {text: error.message}));
    node.on('ncmd', payload => tell('ncmd', {names: payload.metrics.map(m => m.name)}));
  },
  data: ({count}) => {
    for (let i = 0; i < count; ++i) { node.publishNodeData(metrics(i)); node.publishDeviceData('probe', metrics(i)); }
    tell('sent', {});
  },
  lose: () => node.client.stream.destroy(),
  end: () => { node.on('close', () => process.exit(0)); node.stop(); },
};
readline.createInterface({input: process.stdin}).on('line', line => {
  const command = JSON.parse(line);
  what[command.do](command);
});
