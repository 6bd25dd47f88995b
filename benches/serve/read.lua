-- A read of one of the rows.
wrk.headers["Authorization"] = "Bearer " .. os.getenv("TOKEN")

function request()
  return wrk.format("GET", "/v1/message-state?channel_id=channel" .. math.random(10000))
end
