// A small service instrumented from outside: one server that calls itself once and logs.
// Started with `node --require @opentelemetry/auto-instrumentations-node/register app.js`.
const http = require('node:http');
const logger = require('pino')();

const server = http.createServer((request, response) => {
  logger.info({ path: request.url }, 'served from node');
  response.end('ok');
});

server.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}/hello`;
  http.get(url, (response) => {
    response.resume();
    response.on('end', () => {
      server.close();
      server.closeAllConnections();
      process.kill(process.pid, 'SIGTERM');
    });
  });
});
