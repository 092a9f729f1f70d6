"""The page to watch a run in a browser: picture, readings, counters, and what monitors ask for.

`sink` is the output of a run that opens it. From the outside inwards: `address` (where it listens),
`server` (connections and their limits), `connection` and `http` (one client, what it is answered),
`access` (who may see it), `routes`, and what they give: `mjpeg`, `events` and `metrics`, each the
`latest`.

Why the standard library, and why asyncio of it: the base install of the runtime has four
dependencies and is to run on a Raspberry Pi for months. What is needed of HTTP is GET and HEAD of
ten fixed paths, one request a connection, which is a parser of a screenful (`http`). A framework
would bring routing, bodies and plug-ins that nobody uses here. `http.server` takes a thread for
each client, sets no bound on the time a client takes to send its request or on the number of them,
and cannot end the threads of slow ones. In one event loop every wait has a time limit, a client
costs no thread, and all of them are ended by cancelling.
"""
