"""Echoes: the least that a server over TCP or gRPC can do, each as code for a process of its own.

They take a message and answer with its first bytes, as many as an answer of ours has.
"""

from __future__ import annotations

__all__ = ["AIO_ECHO", "ANSWER_BYTES", "GRPC_ECHO", "TCP_ECHO"]

ANSWER_BYTES = 128

_LIMIT = "[('grpc.max_receive_message_length', 16 << 20)]"

GRPC_ECHO = f"""
import grpc
from concurrent import futures
def stream(requests, context):
    for request in requests:
        yield request[:{ANSWER_BYTES}]
def call(request, context):
    return request[:{ANSWER_BYTES}]
methods = {{"S": grpc.stream_stream_rpc_method_handler(stream),
           "C": grpc.unary_unary_rpc_method_handler(call)}}
server = grpc.server(futures.ThreadPoolExecutor(4), options={_LIMIT})
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", methods),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print("listening on 127.0.0.1:%d" % port, flush=True)
server.wait_for_termination()
"""

AIO_ECHO = f"""
import asyncio, grpc
async def stream(requests, context):
    while (request := await context.read()) is not grpc.aio.EOF:
        await context.write(request[:{ANSWER_BYTES}])
async def call(request, context):
    return request[:{ANSWER_BYTES}]
async def main():
    methods = {{"S": grpc.stream_stream_rpc_method_handler(stream),
               "C": grpc.unary_unary_rpc_method_handler(call)}}
    server = grpc.aio.server(options={_LIMIT})
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print("listening on 127.0.0.1:%d" % port, flush=True)
    await server.wait_for_termination()
asyncio.run(main())
"""

TCP_ECHO = f"""
import socket, struct
def read(connection, size):
    data = bytearray(size)
    view = memoryview(data)
    while view:
        view = view[connection.recv_into(view):]
    return data
listener = socket.create_server(("127.0.0.1", 0))
print("listening on 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        while head := connection.recv(4, socket.MSG_WAITALL):
            data = read(connection, struct.unpack("<I", head)[0])
            connection.sendall(data[:{ANSWER_BYTES}])
"""
