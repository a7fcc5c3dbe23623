-- ARGV: member, token, lease in ms.
if redis.call('HGET', 'seqway:owners', ARGV[1]) ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', 'seqway:out', now + tonumber(ARGV[3]), ARGV[1])
return 1
