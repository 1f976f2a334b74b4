// A service between the shop's front and its orders, instrumented from outside.
const http = require('node:http');
const logger = require('pino')();

http
  .createServer((request, response) => {
    logger.info(`passing on ${request.url}`);
    http.get(process.env.BEHIND + request.url, (answer) => answer.pipe(response));
  })
  .listen(Number(process.env.PORT), '127.0.0.1');
