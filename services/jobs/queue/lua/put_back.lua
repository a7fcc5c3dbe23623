-- ARGV: tenant, job, order, chunk, member, token ('' when nobody owns it yet), and by how much the
-- tenant's virtual time goes back.
local member, token = ARGV[5], ARGV[6]
local owner = redis.call('HGET', 'seqway:owners', member)
if owner and owner ~= token then return 0 end
-- These come first: at maxmemory they are taken, and so is what follows them.
local was_out = redis.call('ZREM', 'seqway:out', member)
redis.call('HDEL', 'seqway:owners', member)
redis.call('ZADD', 'seqway:pending:' .. ARGV[2], ARGV[4], member)
redis.call('ZADD', 'seqway:ready:' .. ARGV[1], ARGV[3], ARGV[2])
local first = redis.call('ZRANGE', 'seqway:tenants', 0, 0, 'WITHSCORES')
local is_new = redis.call('ZADD', 'seqway:tenants', 'NX', first[2] or 0, ARGV[1])
if was_out == 1 and is_new == 0 and tonumber(ARGV[7]) > 0 then
  redis.call('ZINCRBY', 'seqway:tenants', -tonumber(ARGV[7]), ARGV[1])
end
return 1
