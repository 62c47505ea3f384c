"""The commands over HTTP, the stream of events, metrics and health, and a page for people.

`app` puts the routes together behind `guard` (Host and Origin, bounds, headers) and `auth` (who may do what); `server`
listens. What is behind them asks a request for its `Caller`, and knows nothing of tokens.
"""
