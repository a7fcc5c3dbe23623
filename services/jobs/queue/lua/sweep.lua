-- ARGV: the longest lease in ms.  The members whose lease has run out, which are forgotten.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local late = redis.call('ZRANGE', 'seqway:out', '-inf', now, 'BYSCORE')
for _, member in ipairs(late) do
  redis.call('ZREM', 'seqway:out', member)
  redis.call('HDEL', 'seqway:owners', member)
end
-- Leases that were given while the server's clock ran ahead would last until then.
local last = now + tonumber(ARGV[1])
for _, member in ipairs(redis.call('ZRANGE', 'seqway:out', '(' .. last, '+inf', 'BYSCORE')) do
  redis.call('ZADD', 'seqway:out', last, member)
end
return late
