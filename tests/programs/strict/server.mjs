// Says each request that it gets, whole, as a line of JSON: method, target and body.
import http from 'node:http';

const server = http.createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('error', () => {});
  request.on('end', () => {
    const body = Buffer.concat(pieces).toString();
    console.log(JSON.stringify([request.method, request.url, body]));
    response.end();
  });
});
// Some requests of the corpus have methods that Node does not know; it refuses those, and says so here.
server.on('clientError', (error, socket) => {
  console.log(JSON.stringify(['refused', error.code, '']));
  socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
});
server.listen(Number(process.env.PORT), '127.0.0.1', () => {
  console.log(`listening ${server.address().port}`);
});
