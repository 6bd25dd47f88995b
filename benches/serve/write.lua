-- A write of one of 10,000 rows.
wrk.headers["Authorization"] = "Bearer " .. os.getenv("TOKEN")
wrk.headers["Content-Type"] = "application/json"

local body = '{"channel_id":"channel%d","thread_id":null,"last_message_id":"m","last_seen_timestamp":1700000000}'

function request()
  return wrk.format("PUT", "/v1/message-state", nil, body:format(math.random(10000)))
end
